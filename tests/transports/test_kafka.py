"""The Kafka transport against a real broker, with a peer that answers as each test tells it."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from proofload.brokers import RETAINED_BYTES, Broker, embedded_broker
from proofload.errors import InputError, TargetError
from proofload.transports import TransportSpec
from proofload.transports import _kafka_client as client
from proofload.transports import kafka as kafka_module
from proofload.transports._kafka_delivery import KINDS
from proofload.transports.kafka import KafkaTransport, create

PATIENCE_S = 30.0
BODIES = tuple(b'{"n": %d}' % number for number in range(8))


@dataclass
class RecordingSink:
    """What a transport reported, in order, and a way to wait for it."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    notes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def sent(self, row: int) -> None:
        self.calls.append(("sent", row))

    def answered(self, row: int, status: int, body: bytes) -> None:
        self.calls.append(("answered", row, status, body))

    def shed(self, row: int, status: int) -> None:
        self.calls.append(("shed", row, status))

    def failed(self, row: int, kind: str, detail: str = "", status: int = -1) -> None:
        self.calls.append(("failed", row, kind, status))

    def note(self, kind: str, **detail: Any) -> None:
        self.notes.append((kind, detail))

    def served_by(self, row: int, arm: int) -> None: ...

    def tell(self, kind: str, **detail: Any) -> None:
        self.notes.append((kind, detail))

    @property
    def ends(self) -> list[tuple[Any, ...]]:
        return [call for call in self.calls if call[0] != "sent"]


class Peer:
    """Reads one topic and writes another, on the test's word alone."""

    def __init__(self, bootstrap: str, requests: str, replies: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "peer", "fetch.wait.max.ms": 1})
        self._replies = replies
        self._producer.list_topics(replies, timeout=PATIENCE_S)
        partitions = self._producer.list_topics(requests, timeout=PATIENCE_S).topics[requests].partitions
        self._consumer.list_topics(requests, timeout=PATIENCE_S)
        self._consumer.assign([TopicPartition(requests, number, 0) for number in partitions])

    def take(self, count: int) -> list[Any]:
        messages = self._consumer.consume(count, PATIENCE_S)
        assert len(messages) == count
        assert all(message.error() is None for message in messages)
        return sorted(messages, key=correlation_of)

    def reply(
        self, correlation: bytes | None, body: bytes = b"{}", status: bytes | None = b"200", *, partition: int = -1
    ) -> None:
        headers: list[tuple[str, str | bytes | None]] = []
        if correlation is not None:
            headers.append(("correlation-id", correlation))
        if status is not None:
            headers.append(("status", status))
        self._producer.produce(self._replies, body, headers=headers, partition=partition)
        self._producer.flush(PATIENCE_S)

    def close(self) -> None:
        self._consumer.close()


def correlation_of(message: Any) -> bytes:
    return bytes(dict(message.headers())["correlation-id"])


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with embedded_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@dataclass
class Stage:
    """One open transport, its sink, its peer."""

    transport: KafkaTransport
    sink: RecordingSink
    peer: Peer

    async def take(self, count: int) -> list[Any]:
        return await asyncio.get_running_loop().run_in_executor(None, self.peer.take, count)

    async def ends(self, count: int) -> list[tuple[Any, ...]]:
        await until(lambda: len(self.sink.ends) >= count)
        return self.sink.ends


async def until(reached: Callable[[], bool]) -> None:
    """Wait for what the transport only counts."""
    async with asyncio.timeout(PATIENCE_S):
        while not reached():
            await asyncio.sleep(0.005)


def spec_for(bootstrap: str, tag: str = "t", timeout_s: float = 20.0, keys: int = 0) -> TransportSpec:
    return TransportSpec(
        name="kafka",
        url=f"kafka://{bootstrap}",
        bodies=BODIES,
        headers={"tenant": "a"},
        timeout_s=timeout_s,
        request={"topic": f"{tag}-features", **({"keys": keys} if keys else {})},
        response={"topic": f"{tag}-predictions"},
    )


def play(
    broker: Broker,
    scene: Callable[[Stage], Awaitable[None]],
    before: Callable[[Peer], None] | None = None,
    *,
    keys: int = 0,
) -> None:
    """Run a scene on topics of its own."""
    tag = uuid.uuid4().hex[:8]

    async def acted() -> None:
        peer = Peer(broker.bootstrap, f"{tag}-features", f"{tag}-predictions")
        if before is not None:
            before(peer)
        sink = RecordingSink()
        transport = create(spec_for(broker.bootstrap, tag, keys=keys), sink)
        await transport.open()
        try:
            await scene(Stage(transport, sink, peer))
        finally:
            await transport.close()
            await transport.close()  # twice is as good as once
            peer.close()

    asyncio.run(acted())


pytestmark = [pytest.mark.real, pytest.mark.kafka]


def test_each_row_gets_its_own_reply_whatever_the_order(broker: Broker) -> None:
    async def scene(stage: Stage) -> None:
        for row in range(40):
            stage.transport.send(row, row % len(BODIES))
        for message in reversed(await stage.take(40)):
            assert dict(message.headers())["tenant"] == b"a"
            stage.peer.reply(correlation_of(message), message.value())
        ends = await stage.ends(40)
        assert sorted(ends) == [("answered", row, 200, BODIES[row % len(BODIES)]) for row in range(40)]
        for row in range(40):
            assert stage.sink.calls.index(("sent", row)) < stage.sink.calls.index(
                ("answered", row, 200, BODIES[row % len(BODIES)])
            )

    play(broker, scene)


def test_the_status_header_tells_answers_sheds_and_errors_apart(broker: Broker) -> None:
    statuses = [None, b"200", b"204", b"429", b"503", b"500", b"504", b"soon"]

    async def scene(stage: Stage) -> None:
        for row in range(len(statuses)):
            stage.transport.send(row, 0)
        for message, status in zip(await stage.take(len(statuses)), statuses, strict=True):
            stage.peer.reply(correlation_of(message), b"{}", status)
        assert sorted(await stage.ends(len(statuses)), key=lambda call: call[1]) == [
            ("answered", 0, 200, b"{}"),
            ("answered", 1, 200, b"{}"),
            ("answered", 2, 204, b"{}"),
            ("shed", 3, 429),
            ("shed", 4, 503),
            ("failed", 5, "kafka-status-500", 500),
            ("failed", 6, "kafka-status-504", 504),
            ("failed", 7, "protocol", -1),
        ]

    play(broker, scene)


def test_a_duplicate_reply_is_counted_and_never_given_to_the_rows_next_request(broker: Broker) -> None:
    async def scene(stage: Stage) -> None:
        stage.transport.send(0, 0)
        (first,) = await stage.take(1)
        stage.peer.reply(correlation_of(first), b"first")
        await stage.ends(1)
        stage.transport.send(0, 1)
        (second,) = await stage.take(1)
        stage.peer.reply(correlation_of(first), b"first once more")
        await until(lambda: stage.transport.strays["kafka-duplicate"] == 1)
        stage.peer.reply(correlation_of(second), b"second")
        assert await stage.ends(2) == [("answered", 0, 200, b"first"), ("answered", 0, 200, b"second")]
        await stage.transport.close()
        assert ("kafka-duplicate", {"count": 1, "total": 1}) in stage.sink.notes

    play(broker, scene)


def test_a_reply_to_an_abandoned_row_reaches_nobody(broker: Broker) -> None:
    async def scene(stage: Stage) -> None:
        stage.transport.send(0, 0)
        (late,) = await stage.take(1)
        stage.transport.abandon(0)
        stage.transport.send(0, 1)
        (fresh,) = await stage.take(1)
        stage.peer.reply(correlation_of(late), b"late")
        await until(lambda: stage.transport.strays["kafka-late"] == 1)
        stage.peer.reply(correlation_of(fresh), b"fresh")
        assert await stage.ends(1) == [("answered", 0, 200, b"fresh")]

    play(broker, scene)


def test_replies_nobody_here_asked_for_are_counted(broker: Broker) -> None:
    async def scene(stage: Stage) -> None:
        stage.transport.send(0, 0)
        for stranger in (b"someone-else", b"", None):
            stage.peer.reply(stranger)
        await until(lambda: stage.transport.strays["kafka-unknown"] == 3)
        assert not stage.sink.ends
        await stage.transport.close()
        assert ("kafka-unknown", {"count": 3, "total": 3}) in stage.sink.notes

    play(broker, scene)


def test_replies_to_others_are_no_news_to_who_asked_nothing(broker: Broker) -> None:
    async def scene(stage: Stage) -> None:
        stage.peer.reply(b"someone-else")
        await until(lambda: stage.transport.strays["kafka-unknown"] == 1)
        await stage.transport.close()
        assert not stage.sink.notes

    play(broker, scene)


def test_late_surplus_and_overtaken_answers_are_accounted_for_by_row(broker: Broker) -> None:
    async def scene(stage: Stage) -> None:
        for row in range(4):
            stage.transport.send(row, 3)  # one payload, one key, one partition
        stage.transport.abandon(0)
        messages = await stage.take(4)
        assert {message.key() for message in messages} == {b"key-1"}
        assert len({message.partition() for message in messages}) == 1
        first, second, third, fourth = map(correlation_of, messages)
        for correlation in (third, second, second, fourth, first):
            stage.peer.reply(correlation, partition=0)
        await until(lambda: stage.transport.strays["kafka-late"] == 1)
        await stage.transport.close()
        told = [detail for kind, detail in stage.sink.notes if kind == "delivery"]
        assert sum((Counter(detail["counts"]) for detail in told), Counter()) == {
            "late": 1,
            "duplicated": 1,
            "reordered": 2,
        }
        rows = {kind: [span for detail in told for span in detail["rows"].get(kind, [])] for kind in KINDS}
        assert rows == {"late": [[0, 0]], "duplicated": [[1, 1]], "reordered": [[1, 1], [0, 0]]}

    play(broker, scene, keys=2)


def test_others_on_the_topic_are_no_news_once_replies_match(broker: Broker) -> None:
    async def scene(stage: Stage) -> None:
        stage.transport.send(0, 0)
        (message,) = await stage.take(1)
        stage.peer.reply(correlation_of(message))
        await stage.ends(1)
        stage.peer.reply(b"of-another-engine-process")
        await until(lambda: stage.transport.strays["kafka-unknown"] == 1)
        await stage.transport.close()
        assert "kafka-unknown" not in {kind for kind, _ in stage.sink.notes}

    play(broker, scene)


def test_replies_from_before_are_not_read(broker: Broker) -> None:
    async def scene(stage: Stage) -> None:
        stage.transport.send(0, 0)
        (message,) = await stage.take(1)
        stage.peer.reply(correlation_of(message))
        await stage.ends(1)
        assert not stage.transport.strays

    play(broker, scene, before=lambda peer: peer.reply(b"of an earlier run"))


def test_a_full_client_queue_makes_requests_wait_and_loses_none(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_BUFFERED_MESSAGES", 10)

    async def scene(stage: Stage) -> None:
        for row in range(100):
            stage.transport.send(row, 0)
        assert "kafka-queue-full" in {kind for kind, _ in stage.sink.notes}
        stage.transport.abandon(99)  # still waiting: it is never sent
        for message in await stage.take(99):
            stage.peer.reply(correlation_of(message))
        assert {call[1] for call in await stage.ends(99)} == set(range(99))

    play(broker, scene)


def test_replies_that_the_broker_forgot_are_noted_and_reading_goes_on(broker: Broker) -> None:
    async def scene(stage: Stage) -> None:
        big = b"x" * 500_000
        for _ in range(6 * RETAINED_BYTES // len(big)):  # over four partitions: each forgets its beginning
            stage.peer.reply(b"other", big)
        await until(lambda: sum(stage.transport.strays.values()) >= 6 * RETAINED_BYTES // len(big))
        for number in range(4):
            stage.transport._read_again.append(TopicPartition(stage.transport._reply_topic, number, 0))
        await until(lambda: any(kind == "kafka-replies-forgotten" for kind, _ in stage.sink.notes))
        stage.transport.send(0, 0)
        (message,) = await stage.take(1)
        stage.peer.reply(correlation_of(message), b"still here")
        assert await stage.ends(1) == [("answered", 0, 200, b"still here")]

    play(broker, scene)


def test_requests_to_a_broker_that_died_fail_one_by_one_and_are_noted(tmp_path_factory: pytest.TempPathFactory) -> None:
    async def acted(own: Broker) -> None:
        sink = RecordingSink()
        transport = create(spec_for(own.bootstrap, timeout_s=0.5), sink)
        await transport.open()
        os.kill(own.pid, signal.SIGKILL)
        for row in range(5):
            transport.send(row, 0)
        await until(lambda: len(sink.ends) >= 5)
        assert sorted(sink.ends) == [("failed", row, "kafka_msg_timed_out", -1) for row in range(5)]
        assert "kafka-broker" in {kind for kind, _ in sink.notes}
        await transport.close()

    with embedded_broker(tmp_path_factory.mktemp("doomed")) as own:
        asyncio.run(acted(own))


def test_no_broker_at_the_address_is_said_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_module, "_OPEN_S", 0.3)

    async def acted() -> None:
        transport = create(spec_for("127.0.0.1:1"), RecordingSink())
        with pytest.raises(TargetError, match=r"127\.0\.0\.1:1 offers no topic"):
            await transport.open()
        await transport.close()

    asyncio.run(acted())


@pytest.mark.parametrize("url", ["kafka://", "kafka://nowhere", "kafka://a:1,b", "kafka://:9092", "kafka://a:x"])
def test_a_url_without_brokers_is_refused_with_the_form_to_write(url: str) -> None:
    with pytest.raises(InputError, match="names no Kafka broker"):
        client.bootstrap_servers(url)


def test_several_brokers_may_be_named() -> None:
    assert client.bootstrap_servers("kafka://a:1,b.example:22") == "a:1,b.example:22"


def test_answers_are_json() -> None:
    transport = create(spec_for("127.0.0.1:1"), RecordingSink())
    assert transport.decode(b'{"prediction": 1}') == {"prediction": 1}
    with pytest.raises(ValueError, match="unexpected"):
        transport.decode(b"<")
