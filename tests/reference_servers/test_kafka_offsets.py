"""Committing, reading and replying of the Kafka worker, without Kafka."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from confluent_kafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from proofload_servers.kafka_worker import messages
from proofload_servers.kafka_worker import worker as worker_module
from proofload_servers.kafka_worker.offsets import PartitionOffsets
from proofload_servers.kafka_worker.options import KafkaOptions
from proofload_servers.kafka_worker.worker import Worker
from proofload_servers.serving import Answer, Expired, InvalidInput, Settings


@given(st.permutations(range(30)), st.integers(0, 1000))
def test_nothing_is_ever_committed_past_an_undelivered_reply(order: list[int], first: int) -> None:
    offsets = PartitionOffsets()
    for number in range(30):
        offsets.take(first + number)
    finished: set[int] = set()
    for number in order:
        offsets.finish(first + number)
        finished.add(first + number)
        position = offsets.committable()
        if position is not None:
            assert set(range(first, position)) <= finished
            assert position not in finished
    assert len(offsets) == 0


def test_a_position_is_offered_once_and_gaps_in_offsets_do_not_matter() -> None:
    offsets = PartitionOffsets()
    for number in (5, 9, 11):
        offsets.take(number)
    offsets.finish(9)
    assert offsets.committable() is None
    offsets.finish(5)
    assert offsets.committable() == 10
    assert offsets.committable() is None
    assert len(offsets) == 1


Headers = Sequence[tuple[str, bytes | None]]


@dataclass
class FakeMessage:
    """The methods of the client's message."""

    content: bytes | None = b"{}"
    sent_headers: Headers | None = (("correlation-id", b"c-1"),)
    sent_key: bytes | None = None
    stamp: tuple[int, int] = (0, 0)
    number: int = 0

    def value(self) -> bytes | None:
        return self.content

    def headers(self) -> Headers | None:
        return self.sent_headers

    def key(self) -> bytes | None:
        return self.sent_key

    def timestamp(self) -> tuple[int, int]:
        return self.stamp

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return "features"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.number


def test_the_timeout_runs_from_the_messages_timestamp() -> None:
    long_ago = FakeMessage(
        sent_headers=[("correlation-id", b"c"), ("timeout-ms", b"1000")],
        stamp=(1, int(time.time() * 1000) - 60_000),
    )
    _, deadline_ns = messages.request_of(messages.read(long_ago), 1024)
    assert deadline_ns is not None
    assert deadline_ns < time.monotonic_ns()


def test_without_a_timestamp_or_with_one_from_the_future_the_timeout_runs_from_now() -> None:
    for stamp in ((0, 0), (1, int(time.time() * 1000) + 3_600_000)):
        incoming = messages.read(FakeMessage(sent_headers=[("timeout-ms", b"60000")], stamp=stamp))
        _, deadline_ns = messages.request_of(incoming, 1024)
        assert deadline_ns == incoming.read_ns + 60_000_000_000


@pytest.mark.parametrize("headers", [None, [], [("correlation-id", None)], [("timeout-ms", None)]])
def test_a_message_without_a_correlation_id_gets_one_so_that_its_reply_can_be_told_apart(
    headers: Headers | None,
) -> None:
    first, second = (messages.read(FakeMessage(sent_headers=headers)) for _ in range(2))
    assert first.correlation
    assert first.correlation != second.correlation


def test_the_key_stands_in_for_a_missing_correlation_header() -> None:
    assert messages.read(FakeMessage(sent_headers=[], sent_key=b"k-9")).correlation == b"k-9"


def test_the_correlation_id_goes_back_byte_for_byte_though_the_log_gets_a_safe_one() -> None:
    incoming = messages.read(FakeMessage(sent_headers=[("correlation-id", b"a\nb\xff")]))
    reply = messages.reply_to(incoming, InvalidInput("no"))
    assert dict(reply.headers)["correlation-id"] == b"a\nb\xff"
    assert dict(reply.headers)["status"] == b"400"
    assert "\n" not in incoming.request_id


def test_a_refusal_is_a_reply_with_its_status_and_code() -> None:
    reply = messages.reply_to(messages.read(FakeMessage()), Expired())
    assert reply.status == 504
    assert orjson.loads(reply.value)["error"]["code"] == "deadline_exceeded"


class FakeConsumer:
    """A partition with as many messages as the test says."""

    def __init__(self, waiting: int) -> None:
        self.waiting = [FakeMessage(number=number) for number in range(waiting)]
        self.paused = False
        self.log: list[str] = []
        self.committed_to = 0
        self.worker: Worker | None = None

    def subscribe(self, _topics: list[str], **callbacks: Any) -> None:
        self.callbacks = callbacks
        callbacks["on_assign"](self, [TopicPartition("features", 0)])

    def committed(self, partitions: list[TopicPartition], **_: Any) -> list[TopicPartition]:
        return [TopicPartition(one.topic, one.partition, 0) for one in partitions]

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.share = partitions

    def assignment(self) -> list[TopicPartition]:
        return self.share

    def get_watermark_offsets(self, _partition: TopicPartition, **_: Any) -> tuple[int, int]:
        return 0, len(self.waiting)

    def poll(self, _timeout: float) -> FakeMessage | None:
        if self.paused or not self.waiting:
            self.log.append("poll")
            return None
        return self.waiting.pop(0)

    def consume(self, count: int, _timeout: float) -> list[FakeMessage]:
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken

    def pause(self, _partitions: list[TopicPartition]) -> None:
        self.paused = True
        self.log.append("pause")

    def resume(self, _partitions: list[TopicPartition]) -> None:
        self.paused = False
        self.log.append("resume")

    def commit(self, offsets: list[TopicPartition], **_: Any) -> None:
        self.committed_to = max(self.committed_to, offsets[0].offset)

    def close(self) -> None:
        self.callbacks["on_revoke"](self, self.share)
        self.log.append("close")


class FakeProducer:
    """Delivers when the test allows it."""

    def __init__(self) -> None:
        self.replies: list[tuple[bytes, Any]] = []
        self.undelivered: list[Any] = []
        self.delivering = True
        self.error: Any = None
        self.on_poll: Any = lambda: None

    def produce(self, _topic: str, value: bytes, *, on_delivery: Any, **_: Any) -> None:
        self.replies.append((value, on_delivery))
        self.undelivered.append(on_delivery)

    def poll(self, _timeout: float) -> None:
        self.on_poll()
        if self.delivering:
            for report in self.undelivered:
                report(self.error, None)
            self.undelivered.clear()


@dataclass
class Stage:
    worker: Worker
    consumer: FakeConsumer
    producer: FakeProducer


def staged(monkeypatch: pytest.MonkeyPatch, *, waiting: int, max_queue: int = 8) -> Stage:
    consumer, producer = FakeConsumer(waiting), FakeProducer()
    monkeypatch.setattr(worker_module, "make_consumer", lambda *_, **__: consumer)

    def submit_to(_request: Any, done: Any, **_: Any) -> None:
        done(Answer("a", 1.0, "tiny", "7", 0.0, 0.0))

    service = SimpleNamespace(
        settings=Settings(model="tiny", max_queue=max_queue, drain_s=0.05),
        metrics=SimpleNamespace(registry=CollectorRegistry(), request=lambda *_: None),
        submit_to=submit_to,
        begin_drain=lambda: None,
        drain=lambda timeout_s: timeout_s > 0,
        reading=False,
    )
    options = KafkaOptions("b:1", "features", "predictions", "g", "latest", 1.0, 1.0, 45.0)
    worker = Worker(service, options, producer, mock=True, replies=4)  # type: ignore[arg-type]  # a service's shape
    return Stage(worker, consumer, producer)


def test_all_that_was_taken_is_answered_and_committed_before_the_group_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = staged(monkeypatch, waiting=20)
    stage.producer.on_poll = lambda: stage.worker.stop() if not stage.consumer.waiting else None
    assert stage.worker.run()
    assert len(stage.producer.replies) == 20
    assert stage.consumer.committed_to == 20
    assert stage.consumer.log[-1] == "close"


def test_while_nothing_is_delivered_no_more_than_the_limit_is_taken_and_the_partitions_are_paused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_module, "PAUSE_AFTER_S", 0.0)
    stage = staged(monkeypatch, waiting=50, max_queue=8)
    stage.producer.delivering = False
    taken: list[int] = []

    def on_poll() -> None:
        if stage.consumer.paused and stage.consumer.log[-1] == "poll":
            taken.append(50 - len(stage.consumer.waiting))
            stage.producer.delivering = True
        elif not stage.consumer.waiting:
            stage.worker.stop()

    stage.producer.on_poll = on_poll
    assert stage.worker.run()
    assert taken
    assert set(taken) == {8}
    assert stage.consumer.log[:2] == ["pause", "poll"]
    assert "resume" in stage.consumer.log
    assert stage.consumer.committed_to == 50


def test_a_share_that_was_taken_away_while_it_was_paused_is_not_paused_when_it_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_module, "PAUSE_AFTER_S", 0.0)
    stage = staged(monkeypatch, waiting=50, max_queue=8)
    stage.producer.delivering = False
    share = [TopicPartition("features", 0)]

    def on_poll() -> None:
        if stage.consumer.paused and not stage.producer.delivering:
            stage.consumer.callbacks["on_lost"](stage.consumer, share)
            stage.producer.delivering = True  # room again, while nothing is assigned
        elif stage.producer.delivering and stage.consumer.paused and not stage.worker._in_flight:
            stage.consumer.callbacks["on_assign"](stage.consumer, share)
        elif not stage.consumer.waiting:
            stage.worker.stop()

    stage.producer.on_poll = on_poll
    assert stage.worker.run()
    assert not stage.consumer.waiting


def test_a_reply_that_cannot_be_delivered_ends_the_worker_uncommitted(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = staged(monkeypatch, waiting=3)
    stage.producer.error = "no such broker"
    assert not stage.worker.run()
    assert stage.consumer.committed_to == 0


def test_what_is_not_delivered_within_the_drain_time_stays_uncommitted(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = staged(monkeypatch, waiting=3)
    stage.producer.delivering = False
    stage.producer.on_poll = lambda: stage.worker.stop() if not stage.consumer.waiting else None
    assert not stage.worker.run()
    assert stage.consumer.committed_to == 0
