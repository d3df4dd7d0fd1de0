"""Settings of the Kafka client, and the questions that are asked of the broker before load begins. Blocking calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from proofload.brokers import CLUSTER_ID_PREFIX
from proofload.errors import InputError, TargetError

LINGER_MS = 0.5
"""It counts as the target's latency, so: short beside a round trip, long enough to share requests at high rates."""
LINGER_MOCK_MS = 1
"""The embedded broker needs well filled message sets: see proofload.brokers. With 0.2 it broke down at 15,000/s."""
FETCH_WAIT_MS = 500
"""A broker answers a fetch as soon as there is something."""
FETCH_WAIT_MOCK_MS = 1
"""The embedded one does not: see proofload.brokers."""
_BUFFERED_MESSAGES = 200_000
_NOT_FETCHED_YET = -1001
_ASKING_S = 0.005

ErrorCallback = Callable[[Any], None]


def bootstrap_servers(url: str) -> str:
    """host:port[,host:port] of kafka://host:port[,host:port]. Raises InputError."""
    servers = urlsplit(url).netloc
    for server in servers.split(","):
        host, _, port = server.rpartition(":")
        if not host or not port.isdigit():
            raise InputError(
                f"{url!r} names no Kafka broker",
                evidence=f"{server!r} is not host:port",
                remedy="write kafka://HOST:PORT, or kafka://HOST:PORT,HOST:PORT for several",
            )
    return servers


def asker(servers: str) -> Any:
    """A client to ask questions with."""
    return Producer(_common(servers, lambda _error: None))


def producer(servers: str, *, mock: bool, timeout_s: float, exact: bool, on_error: ErrorCallback) -> Any:
    """A producer that gives a message up a little before the engine would give up its request.

    `exact`: no message twice or out of order by the client's own retries, so that what is, is the target's doing.
    Otherwise `acks` is 1: the wait for replicas is the peer's latency too, but a reply proves receipt already.
    """
    return Producer(
        {
            **_common(servers, on_error),
            "linger.ms": LINGER_MOCK_MS if mock else LINGER_MS,
            **({"enable.idempotence": True} if exact else {"acks": 1}),
            "message.timeout.ms": max(250, int(timeout_s * 800)),
            "queue.buffering.max.messages": _BUFFERED_MESSAGES,
            "delivery.report.only.error": True,
        }
    )


def consumer(servers: str, *, name: str, mock: bool, max_answer_bytes: int, on_error: ErrorCallback) -> Any:
    """A consumer for partitions assigned by hand: it joins no group, so nothing has to settle."""
    return Consumer(
        {
            **_common(servers, on_error),
            "group.id": name,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",  # what a transaction gives up was never an answer
            "auto.offset.reset": "error",  # replies that the broker has forgotten must be known about
            "fetch.wait.max.ms": FETCH_WAIT_MOCK_MS if mock else FETCH_WAIT_MS,
            "fetch.error.backoff.ms": 50,
            "fetch.message.max.bytes": min(max(max_answer_bytes, 1024), 8 * 1024 * 1024),
        }
    )


def is_mock(cluster_id: str | None) -> bool:
    """Whether this is librdkafka's mock cluster, ours or another's."""
    return (cluster_id or "").startswith(CLUSTER_ID_PREFIX)


def find_topic(client: Any, topic: str, servers: str, timeout_s: float) -> tuple[list[int], bool]:
    """The topic's partitions, and whether the broker is the mock. Asked through a producer, it is made where
    the broker makes topics by itself. Raises TargetError when it cannot be had in time."""
    until = time.monotonic() + timeout_s
    problem = ""
    while (left := until - time.monotonic()) > 0:
        try:
            answer = client.list_topics(topic, timeout=min(left, 2.0))
        except KafkaException as exc:
            problem = _words(exc)
        else:
            found = answer.topics[topic]
            partitions = [number for number, one in found.partitions.items() if one.leader >= 0]
            if found.error is None and partitions and len(partitions) == len(found.partitions):
                return sorted(partitions), is_mock(answer.cluster_id)
            problem = str(found.error or "a partition has no leader")
        time.sleep(_ASKING_S)
    raise TargetError(
        f"Kafka at {servers} offers no topic {topic!r}",
        evidence=problem,
        cause="the broker is not running there, or it does not make topics by itself",
        remedy="check the address, or create the topic (target keys request.topic and response.topic)",
    )


def assign_at_end(client: Any, topic: str, partitions: Sequence[int], timeout_s: float) -> None:
    """Read all partitions from where they end now. Returns when they are being fetched. Raises TargetError."""
    until = time.monotonic() + timeout_s
    here = [TopicPartition(topic, number) for number in partitions]
    try:
        client.list_topics(topic, timeout=timeout_s)  # the consumer's own leaders, or it would look for them at leisure
        for one in here:
            _, one.offset = client.get_watermark_offsets(one, timeout=timeout_s)
        client.assign(here)
    except KafkaException as exc:
        raise TargetError(f"the replies in topic {topic!r} cannot be read", evidence=_words(exc)) from exc
    while any(client.get_watermark_offsets(one, cached=True)[1] == _NOT_FETCHED_YET for one in here):
        if time.monotonic() > until:
            raise TargetError(
                f"the broker does not answer fetches of topic {topic!r} within {timeout_s:g} s",
                cause="it is overloaded, or the partition's leader cannot be reached at the address it advertises",
                remedy="see the broker's log, and its advertised.listeners",
            )
        time.sleep(_ASKING_S)


def error_name(error: Any) -> str:
    """KafkaError's stable name in lower case: "_msg_timed_out"."""
    return str(error.name()).lower() if isinstance(error, KafkaError) else "unknown"


def _common(servers: str, on_error: ErrorCallback) -> dict[str, Any]:
    return {
        "bootstrap.servers": servers,
        "client.id": "proofload",
        "error_cb": on_error,
        "socket.nagle.disable": True,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 500,
        "log_level": 0,  # what matters comes through error_cb
    }


def _words(exc: KafkaException) -> str:
    return str(exc.args[0]) if exc.args else type(exc).__name__
