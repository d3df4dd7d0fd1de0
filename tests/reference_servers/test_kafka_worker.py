"""The Kafka worker as a real process at a real broker (librdkafka's mock cluster, in a process of its own)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from proofload.brokers import RETAINED_BYTES, Broker, embedded_broker

pytestmark = [pytest.mark.real, pytest.mark.kafka]
Start = Callable[..., AbstractContextManager["Running"]]
Until = Callable[[Callable[[], bool]], None]
WAIT_S = 60.0
GOOD = b'{"values": [1, 2, 3, 4]}'
EXPECTED = 4321.0


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics and group of one test or module."""

    bootstrap: str
    tag: str

    @property
    def flags(self) -> list[str]:
        return ["--broker", self.bootstrap, "--input-topic", f"{self.tag}-in", "--output-topic", f"{self.tag}-out",
                "--group", self.tag]  # fmt: skip

    def committed(self) -> int:
        """Messages the group is done with, over all partitions."""
        asker = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.tag})
        try:
            partitions = asker.list_topics(f"{self.tag}-in", timeout=WAIT_S).topics[f"{self.tag}-in"].partitions
            found = asker.committed([TopicPartition(f"{self.tag}-in", number) for number in partitions], timeout=WAIT_S)
            return sum(max(0, one.offset) for one in found)
        finally:
            asker.close()


class Peer:
    """Sends requests and collects replies by correlation id."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._producer = Producer({"bootstrap.servers": topics.bootstrap, "linger.ms": 1})
        self._consumer = Consumer({"bootstrap.servers": topics.bootstrap, "group.id": "peer", "fetch.wait.max.ms": 1})
        partitions = self._producer.list_topics(f"{topics.tag}-out", timeout=WAIT_S).topics[f"{topics.tag}-out"]
        self._consumer.list_topics(f"{topics.tag}-out", timeout=WAIT_S)
        self._consumer.assign([TopicPartition(f"{topics.tag}-out", number, 0) for number in partitions.partitions])
        self.replies: list[Any] = []

    def send(self, correlation: bytes | None, value: bytes | None = GOOD, *, at_ms: int = 0, **headers: bytes) -> None:
        listed: list[tuple[str, str | bytes | None]] = [
            (name.replace("_", "-"), content) for name, content in headers.items()
        ]
        if correlation is not None:
            listed.append(("correlation-id", correlation))
        self._producer.produce(f"{self._topics.tag}-in", value, headers=listed, timestamp=at_ms)
        self._producer.poll(0)

    def flush(self) -> None:
        assert self._producer.flush(WAIT_S) == 0

    def collect(self, count: int) -> list[Any]:
        """The next `count` replies."""
        self.flush()
        fresh: list[Any] = []
        until = time.monotonic() + WAIT_S
        while len(fresh) < count:
            assert time.monotonic() < until, f"{len(fresh)} of {count} replies"
            message = self._consumer.poll(0.1)
            if message is not None:
                assert message.error() is None
                fresh.append(message)
        self.replies += fresh
        return fresh

    def drained(self) -> list[Any]:
        """Whatever is there still, until nothing comes for a while."""
        late = []
        while (message := self._consumer.poll(0.5)) is not None:
            late.append(message)
        self.replies += late
        return late

    def close(self) -> None:
        self._consumer.close()


def headers_of(message: Any) -> dict[str, bytes]:
    return dict(message.headers())


def status_of(message: Any) -> bytes:
    return headers_of(message)["status"]


def correlations(peer: Peer) -> set[bytes]:
    return {headers_of(one)["correlation-id"] for one in peer.replies}


@dataclass(frozen=True, slots=True)
class Running:
    process: subprocess.Popen[bytes]
    client: httpx.Client

    def metric(self, name: str) -> float:
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)


@pytest.fixture(scope="session")
def started(start_program: Callable[..., Any], new_port: Callable[[], int]) -> Start:
    """`started(model, topics, *flags)`: a worker that has its share of the group."""

    @contextlib.contextmanager
    def start(model: Path, topics: Topics, *flags: str) -> Iterator[Running]:
        port = new_port()
        line = ["--model", str(model), *topics.flags, "--metrics-port", str(port), *flags]
        with start_program("kafka_worker", line, port) as (process, client):
            yield Running(process, client)

    return start


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with embedded_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def shared(broker: Broker, tiny_model: Path, started: Start) -> Iterator[tuple[Running, Peer, Topics]]:
    topics = Topics(broker.bootstrap, f"s{uuid.uuid4().hex[:6]}")
    peer = Peer(topics)
    with started(tiny_model, topics, "--max-queue", "16", "--max-body-kib", "4") as running:
        yield running, peer, topics
    peer.close()


def test_a_reply_carries_the_answer_under_the_requests_correlation_id(shared: tuple[Running, Peer, Topics]) -> None:
    _, peer, _ = shared
    peer.send(b"c-1", b'{"id": "q", "values": [1, 2, 3, 4]}')
    (reply,) = peer.collect(1)
    body = json.loads(reply.value())
    assert (body["id"], body["prediction"], body["model"]) == ("q", EXPECTED, {"name": "tiny", "version": "7"})
    assert headers_of(reply) == {"correlation-id": b"c-1", "status": b"200"}
    assert reply.key() == b"c-1"


def test_more_requests_than_the_limit_are_all_answered_each_with_its_own_prediction(
    shared: tuple[Running, Peer, Topics], until: Until
) -> None:
    _, peer, topics = shared
    for number in range(1500):
        peer.send(b"n-%d" % number, b'{"values": [%d, 0, 0, 0]}' % number)
    replies = peer.collect(1500)
    answers = {headers_of(one)["correlation-id"]: json.loads(one.value()).get("prediction") for one in replies}
    assert answers == {b"n-%d" % number: float(number) for number in range(1500)}
    until(lambda: topics.committed() >= 1500)


def test_poison_is_answered_and_the_next_message_gets_its_turn(shared: tuple[Running, Peer, Topics]) -> None:
    _, peer, _ = shared
    poison: dict[bytes, tuple[bytes | None, bytes]] = {
        b"p-json": (b"{", b"400"),
        b"p-list": (b"[]", b"400"),
        b"p-binary": (bytes(range(256)), b"400"),
        b"p-tombstone": (None, b"400"),
        b"p-width": (b'{"values": [1]}', b"400"),
        b"p-large": (b'{"values": [%s]}' % (b"1," * 4000), b"413"),
    }
    for correlation, (value, _) in poison.items():
        peer.send(correlation, value)
    peer.send(b"p-header", GOOD, timeout_ms=b"\xff soon")
    peer.send(None, GOOD)
    peer.send(b"p-good", GOOD)
    replies = {headers_of(one)["correlation-id"]: one for one in peer.collect(len(poison) + 3)}
    assert {name: status_of(replies[name]) for name in poison} == {name: want for name, (_, want) in poison.items()}
    assert status_of(replies[b"p-header"]) == b"400"
    assert json.loads(replies[b"p-good"].value())["prediction"] == EXPECTED
    assert {status_of(one) for one in replies.values()} == {b"200", b"400", b"413"}


def test_work_whose_deadline_passed_in_the_topic_is_not_computed(shared: tuple[Running, Peer, Topics]) -> None:
    running, peer, _ = shared
    expired = running.metric("proofload_expired_total")
    minute_ago = int(time.time() * 1000) - 60_000
    peer.send(b"d-late", GOOD, at_ms=minute_ago, timeout_ms=b"1000")
    peer.send(b"d-patient", GOOD, at_ms=minute_ago, timeout_ms=b"3600000")
    replies = {headers_of(one)["correlation-id"]: one for one in peer.collect(2)}
    assert status_of(replies[b"d-late"]) == b"504"
    assert status_of(replies[b"d-patient"]) == b"200"
    assert running.metric("proofload_expired_total") == expired + 1


def test_health_info_and_metrics_are_served_beside_the_stream(shared: tuple[Running, Peer, Topics]) -> None:
    running, _, _ = shared
    for path in ("/health/live", "/health/ready", "/health/startup"):
        assert running.client.get(path).status_code == 200
    assert running.client.get("/model/info").json()["name"] == "tiny"
    assert running.metric('proofload_request_seconds_count{route="kafka",status="200"}') > 0
    assert running.metric("proofload_kafka_in_flight") == 0


SHORT_SESSION = ("--session-timeout-s", "3")  # the mock keeps a member that left, or died, until then


def test_a_worker_told_to_stop_leaves_its_successor_all_the_rest_and_nothing_twice(
    broker: Broker, tiny_model: Path, started: Start
) -> None:
    topics = Topics(broker.bootstrap, f"d{uuid.uuid4().hex[:6]}")
    peer = Peer(topics)
    with started(tiny_model, topics, "--max-queue", "4", *SHORT_SESSION) as first:
        for number in range(3000):
            peer.send(b"%d" % number)
        peer.collect(200)
        assert first.terminate() == 0
        peer.drained()
    answered = len(peer.replies)
    assert topics.committed() == answered
    with started(tiny_model, topics, *SHORT_SESSION):
        peer.collect(3000 - answered)
        assert not peer.drained()
    peer.close()
    assert sorted(int(headers_of(one)["correlation-id"]) for one in peer.replies) == list(range(3000))


def test_a_worker_killed_in_the_midst_of_its_work_loses_no_request(
    broker: Broker, tiny_model: Path, started: Start, until: Until
) -> None:
    topics = Topics(broker.bootstrap, f"k{uuid.uuid4().hex[:6]}")
    peer = Peer(topics)
    with started(tiny_model, topics, "--max-queue", "64", *SHORT_SESSION) as first:
        for number in range(3000):
            peer.send(b"%d" % number)
        peer.collect(200)
        first.process.kill()
        first.process.wait(WAIT_S)
    with started(tiny_model, topics, *SHORT_SESSION):
        until(lambda: peer.drained() is not None and len(correlations(peer)) == 3000)
    peer.close()


def test_a_worker_that_was_stopped_for_longer_than_the_broker_remembers_says_so_and_goes_on(
    broker: Broker, tiny_model: Path, started: Start, until: Until
) -> None:
    topics = Topics(broker.bootstrap, f"f{uuid.uuid4().hex[:6]}")
    peer = Peer(topics)
    with started(tiny_model, topics) as running:
        running.process.send_signal(signal.SIGSTOP)
        size = 900_000
        for _ in range(10 * RETAINED_BYTES // size):
            peer.send(None, b"x" * size)
        peer.flush()
        running.process.send_signal(signal.SIGCONT)
        until(lambda: running.metric("proofload_kafka_forgotten_total") >= 1)
        peer.send(b"still-here")
        peer.flush()
        until(lambda: any(headers_of(one)["correlation-id"] == b"still-here" for one in peer.drained()))
    peer.close()


def test_a_worker_without_its_broker_stays_alive_and_still_ends_when_told(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, started: Start
) -> None:
    with embedded_broker(tmp_path_factory.mktemp("doomed")) as own:
        topics = Topics(own.bootstrap, "t")
        with started(tiny_model, topics) as running:
            os.kill(own.pid, signal.SIGKILL)
            assert running.client.get("/health/live").status_code == 200
            assert running.terminate() == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--broker", "127.0.0.1:1", "--connect-s", "0.3"], "does not offer the topics"),
        (["--broker", "127.0.0.1:1", "--workers", "2"], "same --group"),
        ([], "--broker"),
    ],
)
def test_a_worker_that_cannot_serve_says_why_and_exits_with_2(tiny_model: Path, flags: list[str], words: str) -> None:
    command = [sys.executable, "-m", "proofload_servers.kafka_worker", "--model", str(tiny_model), *flags]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
