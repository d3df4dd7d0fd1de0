"""The Kafka workers at a real broker: killed, and halted for so long that the broker gives them up."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from proofload.resources import ensure_fixtures
from proofload.runtimes import Placement, Server
from proofload.runtimes._broker_container import ContainerBroker, container_broker
from proofload.runtimes.process import ProcessRuntime
from proofload.targets import load_target
from proofload.watchdog import Watchdog
from proofload.workloads.payloads import load_payloads

pytestmark = [pytest.mark.real, pytest.mark.kafka, pytest.mark.containers, pytest.mark.timeout(300)]
WAIT_S = 90.0
MESSAGES = 2000
TOGETHER = 20
PAUSE_S = 0.03
"""Between so many: a stream of some seconds, so that a worker is interfered with in the midst of it."""
ENOUGH = 100
"""Replies that show that a worker is in the midst of its work."""
SESSION_S = 1.5
QUIET_S = 1.0
"""Listened for so long, after all were answered, for answers too many."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Topics and a group of a test's own."""

    bootstrap: str
    tag: str
    logs: Path

    @contextmanager
    def worker(self, target: str) -> Iterator[Server]:
        env = {
            "PROOFLOAD_INPUT_TOPIC": f"{self.tag}-in",
            "PROOFLOAD_OUTPUT_TOPIC": f"{self.tag}-out",
            "PROOFLOAD_GROUP": self.tag,
            "PROOFLOAD_START_AT": "earliest",
            "PROOFLOAD_SESSION_TIMEOUT_S": str(SESSION_S),
            "PROOFLOAD_MAX_QUEUE": "64",
        }
        loaded = load_target(target, overrides={"broker": self.bootstrap}).filled({"timeout_ms": "600000"})
        with ProcessRuntime().start(loaded, Placement(self.logs / uuid.uuid4().hex, env=env)) as server:
            yield server

    @contextmanager
    def sending(self) -> Iterator[None]:
        """All messages, while the block goes on."""
        body = load_payloads(ensure_fixtures("fraud") / "payloads.jsonl").bodies[0]
        producer = Producer({"bootstrap.servers": self.bootstrap})

        def send() -> None:
            for number in range(MESSAGES):
                producer.produce(f"{self.tag}-in", body, headers=[("correlation-id", b"%d" % number)])
                if number % TOGETHER == 0:
                    time.sleep(PAUSE_S)
            producer.flush(WAIT_S)

        thread = threading.Thread(target=send)
        thread.start()
        yield
        thread.join()
        assert len(producer) == 0


class Replies:
    """What a reader of this isolation has seen."""

    def __init__(self, stream: Stream, isolation: str) -> None:
        topic = f"{stream.tag}-out"
        self._reader = Consumer(
            {"bootstrap.servers": stream.bootstrap, "group.id": "r", "isolation.level": isolation, "log_level": 0}
        )
        until = time.monotonic() + WAIT_S
        while not (partitions := self._reader.list_topics(topic, timeout=WAIT_S).topics[topic].partitions):
            assert time.monotonic() < until
        self._reader.assign([TopicPartition(topic, number, 0) for number in partitions])
        self.seen: Counter[int] = Counter()

    def read(self, enough: Callable[[], bool]) -> None:
        until = time.monotonic() + WAIT_S
        while not enough():
            assert time.monotonic() < until, f"{len(self.seen)} of {MESSAGES}"
            for message in self._reader.consume(1000, 0.1):
                assert message.error() is None
                self.seen[correlation(message)] += 1

    def everything(self) -> Counter[int]:
        """Until all are answered, and nothing came for a while after that."""
        self.read(lambda: len(self.seen) == MESSAGES)
        quiet = time.monotonic() + QUIET_S
        self.read(lambda: time.monotonic() > quiet)
        return self.seen

    def close(self) -> None:
        self._reader.close()


def correlation(message: Any) -> int:
    return int(dict(message.headers())["correlation-id"])


@pytest.fixture
def stream(kafka_broker: ContainerBroker, tmp_path: Path) -> Stream:
    return Stream(kafka_broker.bootstrap, f"w{uuid.uuid4().hex[:8]}", tmp_path)


def test_of_a_worker_with_transactions_that_is_killed_readers_see_every_reply_once(stream: Stream) -> None:
    with stream.worker("kafka-exactly-once") as first, stream.sending():
        replies = Replies(stream, "read_committed")
        replies.read(lambda: len(replies.seen) >= ENOUGH)
        os.kill(first.pids[0], signal.SIGKILL)
    with stream.worker("kafka-exactly-once"):
        seen = replies.everything()
    replies.close()
    assert set(seen.values()) == {1}


def test_of_a_worker_without_them_that_is_killed_no_request_is_lost(stream: Stream) -> None:
    with stream.worker("kafka") as first, stream.sending():
        replies = Replies(stream, "read_committed")
        replies.read(lambda: len(replies.seen) >= ENOUGH)
        os.kill(first.pids[0], signal.SIGKILL)
    with stream.worker("kafka"):
        seen = replies.everything()
    replies.close()
    assert len(seen) == MESSAGES


def test_a_worker_whose_transaction_was_given_up_by_the_broker_goes_on_and_answers_nothing_twice(
    stream: Stream,
) -> None:
    with stream.worker("kafka-exactly-once") as worker, stream.sending():
        replies = Replies(stream, "read_committed")
        replies.read(lambda: len(replies.seen) >= ENOUGH)
        os.kill(worker.pids[0], signal.SIGSTOP)
        time.sleep(3 * SESSION_S)  # the broker's time-outs are what is tried here
        os.kill(worker.pids[0], signal.SIGCONT)
        seen = replies.everything()
        worker.check_alive()
    replies.close()
    assert set(seen.values()) == {1}


def test_while_the_broker_restarts_a_worker_with_transactions_loses_nothing_and_answers_nothing_twice(
    kafka_image: str, tmp_path: Path
) -> None:
    with Watchdog() as watchdog, container_broker(kafka_image, tmp_path, watchdog) as broker:
        stream = Stream(broker.bootstrap, "w", tmp_path)
        with stream.worker("kafka-exactly-once") as worker, stream.sending():
            replies = Replies(stream, "read_committed")
            replies.read(lambda: len(replies.seen) >= ENOUGH)
            broker.restart()
            seen = replies.everything()
            worker.check_alive()
        replies.close()
    assert set(seen.values()) == {1}
    assert worker.facts()["exit_code"] == 0
