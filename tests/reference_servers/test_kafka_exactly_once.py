"""Transactions of the Kafka worker, without Kafka: what is offered together, and what becomes of failures."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from prometheus_client import CollectorRegistry

from proofload_servers.kafka_worker import assignment as assignment_module
from proofload_servers.kafka_worker import exactly_once
from proofload_servers.kafka_worker import worker as worker_module
from proofload_servers.kafka_worker.assignment import committed
from proofload_servers.kafka_worker.exactly_once import ExactlyOnceWorker
from proofload_servers.kafka_worker.options import KafkaOptions
from proofload_servers.serving import Answer, Settings, StartupError


class Problem(KafkaException):
    """What the client raises, with the properties that decide what is to be done."""

    def __init__(self, *, retriable: bool = False, abort: bool = False, fatal: bool = False) -> None:
        error = SimpleNamespace(
            retriable=lambda: retriable, txn_requires_abort=lambda: abort, fatal=lambda: fatal, code=lambda: -1
        )
        super().__init__(error)


@dataclass
class Broker:
    """What has reached it for good. `problems` are raised by the calls of that name, one each."""

    committed: list[tuple[bytes, ...]] = field(default_factory=list)
    position: int = 0
    problems: dict[str, list[KafkaException]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    producers: int = 0

    def called(self, name: str) -> None:
        self.calls.append(name)
        if self.problems.get(name):
            raise self.problems[name].pop(0)


class FakeProducer:
    """A transaction's messages and offsets show at the broker when it is committed."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.open: list[bytes] = []
        self.offset = 0
        broker.producers += 1

    def init_transactions(self, _timeout: float) -> None:
        self.broker.called("init")

    def begin_transaction(self) -> None:
        self.open = []

    def produce(self, _topic: str, value: bytes, **_: Any) -> None:
        self.broker.called("produce")
        self.open.append(value)

    def send_offsets_to_transaction(self, positions: list[TopicPartition], _group: Any, _timeout: float) -> None:
        self.broker.called("offsets")
        self.offset = positions[0].offset

    def commit_transaction(self, _timeout: float) -> None:
        self.broker.called("commit")
        self.broker.committed.append(tuple(self.open))
        self.broker.position = self.offset

    def abort_transaction(self, _timeout: float) -> None:
        self.broker.called("abort")
        self.open = []

    def poll(self, _timeout: float) -> None:
        pass

    def purge(self) -> None:
        pass


class FakeConsumer:
    """One partition."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    def committed(self, partitions: list[TopicPartition], **_: Any) -> list[TopicPartition]:
        self.broker.called("committed")
        return [TopicPartition(one.topic, one.partition, self.broker.position) for one in partitions]

    def assign(self, _partitions: list[TopicPartition]) -> None:
        pass

    def consumer_group_metadata(self) -> str:
        return "generation 1"


class FakeMessage:
    def __init__(self, offset: int) -> None:
        self._offset = offset

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return "features"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes:
        return b"{}"

    def key(self) -> None:
        return None

    def headers(self) -> list[tuple[str, bytes]]:
        return [("correlation-id", b"%d" % self._offset)]

    def timestamp(self) -> tuple[int, int]:
        return 0, 0


class Stage:
    """A worker that has partition 0. Requests are answered when the test says so, in any order."""

    def __init__(self, worker: ExactlyOnceWorker, broker: Broker, open_requests: dict[str, Any]) -> None:
        self.worker = worker
        self.broker = broker
        self._open = open_requests
        self.assigned()

    def assigned(self) -> None:
        self.worker._assignment.on_assign(FakeConsumer(self.broker), [TopicPartition("features", 0)])

    def took(self, *offsets: int) -> None:
        for offset in offsets:
            self.worker._handle(FakeMessage(offset))

    def answered(self, *offsets: int) -> None:
        for offset in offsets:
            self._open.pop(str(offset))(Answer(str(offset), float(offset), "tiny", "7", 0.0, 0.0))

    def turn(self) -> None:
        self.worker._due = 0.0
        self.worker._turn()

    @property
    def predictions(self) -> list[list[float]]:
        """Of each committed transaction."""
        return [
            [float(value.split(b'"prediction":')[1].split(b",")[0]) for value in one] for one in self.broker.committed
        ]

    @property
    def failure(self) -> str:
        return self.worker._failure


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    broker = Broker()
    waiting: dict[str, Any] = {}
    monkeypatch.setattr(worker_module, "make_consumer", lambda *_, **__: FakeConsumer(broker))
    monkeypatch.setattr(exactly_once, "make_producer", lambda *_: FakeProducer(broker))
    monkeypatch.setattr(assignment_module, "ASKING_S", 0.0)

    def submit_to(_request: Any, done: Any, *, request_id: str, **_: Any) -> None:
        waiting[request_id] = done

    service = SimpleNamespace(
        settings=Settings(model="tiny", max_queue=8, drain_s=0.05),
        metrics=SimpleNamespace(registry=CollectorRegistry(), request=lambda *_: None),
        submit_to=submit_to,
        reading=True,
    )
    options = KafkaOptions("b:1", "features", "predictions", "g", "latest", 1.0, 1.0, 45.0, "exactly-once", 0.0)
    worker = ExactlyOnceWorker(service, options, FakeProducer(broker), mock=False, replies=4)
    return Stage(worker, broker, waiting)


def test_replies_and_the_offsets_behind_them_go_together(stage: Stage) -> None:
    stage.took(0, 1, 2)
    stage.answered(0, 1)
    stage.turn()
    assert stage.predictions == [[0.0, 1.0]]
    assert stage.broker.position == 2
    assert stage.worker._in_flight == 1


def test_a_reply_out_of_turn_waits_for_those_before_it_and_keeps_their_order(stage: Stage) -> None:
    stage.took(0, 1, 2)
    stage.answered(2, 1)
    stage.turn()
    assert stage.predictions == []
    stage.answered(0)
    stage.turn()
    assert stage.predictions == [[0.0, 1.0, 2.0]]
    assert stage.broker.position == 3


def test_without_a_reply_there_is_no_transaction(stage: Stage) -> None:
    stage.took(0)
    stage.turn()
    assert stage.broker.calls == ["committed"]


@pytest.mark.parametrize("call", ["offsets", "commit"])
def test_what_was_given_up_is_offered_again_whole(stage: Stage, call: str) -> None:
    stage.took(0, 1)
    stage.answered(0, 1)
    stage.broker.problems = {call: [Problem(abort=True)]}
    stage.turn()
    assert (stage.predictions, stage.worker._in_flight) == ([], 2)
    assert stage.broker.calls[-1] == "abort"
    stage.turn()
    assert (stage.predictions, stage.worker._in_flight) == ([[0.0, 1.0]], 0)


def test_a_call_that_may_help_later_is_made_again_within_the_transaction(stage: Stage) -> None:
    stage.took(0)
    stage.answered(0)
    stage.broker.problems = {"commit": [Problem(retriable=True), Problem(retriable=True)]}
    stage.turn()
    assert stage.predictions == [[0.0]]
    assert stage.broker.calls.count("commit") == 3


def test_a_producer_that_is_shut_out_is_replaced_and_its_work_offered_again(stage: Stage) -> None:
    stage.took(0, 1)
    stage.answered(0, 1)
    stage.broker.problems = {"commit": [Problem(fatal=True)]}
    stage.turn()
    assert stage.broker.producers == 2
    assert not stage.failure
    stage.turn()
    assert stage.predictions == [[0.0, 1.0]]


def test_a_producer_that_is_found_to_be_shut_out_while_it_gives_up_is_replaced_too(stage: Stage) -> None:
    stage.took(0)
    stage.answered(0)
    stage.broker.problems = {"offsets": [Problem(abort=True)], "abort": [Problem(fatal=True)]}
    stage.turn()
    assert (stage.broker.producers, stage.failure) == (2, "")
    stage.turn()
    assert stage.predictions == [[0.0]]


def test_a_call_that_does_not_return_costs_the_producer_and_nothing_else(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exactly_once, "ASKING_S", 0.01)
    monkeypatch.setattr(exactly_once, "STUCK_S", 0.01)
    stage.took(0)
    stage.answered(0)
    never = threading.Event()
    stage.worker._producer.send_offsets_to_transaction = lambda *_: never.wait()
    stage.turn()
    assert (stage.broker.producers, stage.failure) == (2, "")
    stage.turn()
    assert stage.predictions == [[0.0]]
    never.set()


def test_what_a_producer_had_committed_before_it_was_shut_out_is_not_offered_again(stage: Stage) -> None:
    stage.took(0, 1)
    stage.answered(0, 1)
    stage.broker.problems = {"commit": [Problem(fatal=True)]}
    stage.broker.position = 2  # the commit took effect; only its answer was lost
    stage.turn()
    stage.turn()
    assert stage.predictions == []
    assert stage.worker._in_flight == 0
    stage.took(2)
    stage.answered(2)
    stage.turn()
    assert stage.predictions == [[2.0]]


def test_failures_without_end_end_the_worker(stage: Stage) -> None:
    stage.took(0)
    stage.answered(0)
    stage.broker.problems = {"commit": [Problem(abort=True) for _ in range(100)]}
    for _ in range(50):
        stage.turn()
    assert "nothing can be committed any more" in stage.failure
    assert stage.predictions == []


def test_replies_to_requests_that_went_to_another_worker_are_forgotten_come_they_before_or_after(stage: Stage) -> None:
    stage.took(0, 1)
    stage.answered(0)
    stage.broker.problems = {"commit": [Problem(abort=True)]}
    stage.turn()  # reply 0 waits for another attempt
    stage.worker._assignment.on_lost(None, [TopicPartition("features", 0)])
    stage.answered(1)
    stage.broker.position = 2  # the other one answered both
    stage.assigned()
    stage.took(2)
    stage.answered(2)
    stage.turn()
    assert stage.predictions == [[2.0]]
    assert (stage.broker.position, stage.worker._in_flight) == (3, 0)


def test_partitions_are_given_back_with_everything_committed(stage: Stage) -> None:
    stage.took(0, 1)
    stage.answered(0, 1)
    stage.worker._assignment.on_revoke(None, [TopicPartition("features", 0)])
    assert stage.predictions == [[0.0, 1.0]]


def test_a_broker_without_transactions_is_said(stage: Stage) -> None:
    stage.broker.problems = {"init": [Problem()]}
    with pytest.raises(StartupError, match="offers no transactions"):
        stage.worker.run()


def test_while_a_predecessors_transaction_is_open_nobody_knows_where_to_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(assignment_module, "ASKING_S", 0.0)
    broker = Broker(position=7)
    open_still = KafkaException(KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT))
    broker.problems = {"committed": [open_still, open_still]}
    (found,) = committed(FakeConsumer(broker), [TopicPartition("features", 0)])
    assert found.offset == 7
    broker.problems = {"committed": [KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))]}
    with pytest.raises(KafkaException):
        committed(FakeConsumer(broker), [TopicPartition("features", 0)])
