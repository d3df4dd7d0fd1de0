"""The Kafka transport passes the conformance kit, as far as Kafka can express the peers.

Left out: a refusing, closing or dying peer. Between the two stands a broker, which keeps the request; that it is not
there at all is the open's error (see test_kafka.py).
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from proofload.brokers import Broker, embedded_broker
from proofload.testing.transport_kit import Behaviour, Check, TransportKit, checks_for
from proofload.transports import TransportSpec
from proofload.transports.kafka import create

pytestmark = [pytest.mark.real, pytest.mark.kafka]
BODIES = tuple(b'{"prediction": %d}' % number for number in range(7))
STATUSES = {Behaviour.ANSWERS: b"200", Behaviour.SHEDS: b"503", Behaviour.GARBAGE: b"\x00not a status"}
BEHAVIOURS = frozenset({*STATUSES, Behaviour.HANGS})


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with embedded_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


def kit_at(broker: Broker) -> TransportKit:
    @asynccontextmanager
    async def peer(behaviour: Behaviour) -> AsyncIterator[TransportSpec]:
        tag = uuid.uuid4().hex[:8]
        stop = threading.Event()
        worker = threading.Thread(target=behave, args=(broker.bootstrap, tag, STATUSES.get(behaviour), stop))
        worker.start()
        try:
            yield TransportSpec(
                name="kafka",
                url=f"kafka://{broker.bootstrap}",
                bodies=BODIES,
                request={"topic": f"{tag}-features"},
                response={"topic": f"{tag}-predictions"},
            )
        finally:
            stop.set()
            await asyncio.get_running_loop().run_in_executor(None, worker.join)

    return TransportKit(
        "kafka",
        create,
        peer=peer,
        is_answer=lambda decoded, payload: bool(decoded == {"prediction": payload}),
        behaviours=BEHAVIOURS,
    )


def behave(bootstrap: str, tag: str, status: bytes | None, stop: threading.Event) -> None:
    """Send each request back with this status; with none, read and keep silent."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 1})
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "peer", "fetch.wait.max.ms": 1})
    partitions = producer.list_topics(f"{tag}-features", timeout=20).topics[f"{tag}-features"].partitions
    consumer.list_topics(f"{tag}-features", timeout=20)
    consumer.assign([TopicPartition(f"{tag}-features", number, 0) for number in partitions])
    while not stop.is_set():
        message: Any = consumer.poll(0.05)
        if message is not None and status is not None:
            correlation = dict(message.headers())["correlation-id"]
            headers: list[tuple[str, str | bytes | None]] = [("correlation-id", correlation), ("status", status)]
            producer.produce(f"{tag}-predictions", message.value(), headers=headers)
        producer.poll(0)
    producer.flush(5)
    consumer.close()


@pytest.mark.parametrize(
    "check",
    checks_for(TransportKit("kafka", create, peer=None, is_answer=None, behaviours=BEHAVIOURS)),  # type: ignore[arg-type]  # names only
    ids=lambda check: check.__name__,
)
def test_the_kafka_transport_conforms(check: Check, broker: Broker) -> None:
    async def run() -> None:
        await check(kit_at(broker))

    asyncio.run(run())
