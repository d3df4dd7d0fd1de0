"""The Kafka clients, set up for short waits and what is guaranteed, and what has to be known of the broker first."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer

from proofload_servers.serving import StartupError

from .options import KafkaOptions

LOG = logging.getLogger("proofload_servers.kafka")
MOCK_PREFIX = "mockCluster"
FETCH_WAIT_MS = 500
FETCH_WAIT_MOCK_MS = 1  # librdkafka's mock cluster answers an empty fetch only when this is over, new messages or not
PREFETCHED = 1000  # messages read ahead of need: bounds memory, and how long one waits in this process unseen
PREFETCHED_KIB = 16 * 1024
ASKING_S = 0.1
SHORTEST_TRANSACTION_MS = 1000  # the client takes no shorter time-out

ErrorCallback = Callable[[Any], None]


def make_producer(options: KafkaOptions, on_error: ErrorCallback) -> Any:
    """Replies: acknowledged by all replicas, in order, without duplicates of the client's own making."""
    return Producer(
        {
            **_common(options, on_error),
            "enable.idempotence": True,
            "linger.ms": options.linger_ms,
            **(_transactional(options) if options.guarantee == "exactly-once" else {}),
        }
    )


def _transactional(options: KafkaOptions) -> dict[str, Any]:
    """An id of this process's own: a former owner of its work is shut out by the group's generation, which goes with
    the offsets (KIP-447). What a killed worker left open blocks its readers and its successor until it times out,
    so that is as long as the group waits for the worker itself."""
    return {
        "transactional.id": f"{options.group}-{secrets.token_hex(6)}",
        "transaction.timeout.ms": max(SHORTEST_TRANSACTION_MS, round(options.session_s * 1000)),
    }


def make_consumer(options: KafkaOptions, *, mock: bool, on_error: ErrorCallback, on_commit: Callable[..., None]) -> Any:
    """Requests: offsets are committed by us alone."""
    return Consumer(
        {
            **_common(options, on_error),
            "group.id": options.group,
            "session.timeout.ms": round(options.session_s * 1000),
            "heartbeat.interval.ms": round(min(3.0, options.session_s / 3) * 1000),
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",  # and offsets only once no transaction can change them any more
            "auto.offset.reset": "error",  # every start is explicit; what the broker forgot must not pass unseen
            "on_commit": on_commit,
            "fetch.wait.max.ms": FETCH_WAIT_MOCK_MS if mock else FETCH_WAIT_MS,
            "queued.min.messages": PREFETCHED,
            "queued.max.messages.kbytes": PREFETCHED_KIB,
        }
    )


def find_topics(producer: Any, options: KafkaOptions) -> tuple[bool, int]:
    """(the broker is librdkafka's mock, partitions of the output topic). Raises StartupError after `connect_s`.

    Asked through a producer, because brokers that make topics by themselves make them for producers only.
    """
    until = time.monotonic() + options.connect_s
    problem = "no answer"
    while time.monotonic() < until:
        try:
            answers = [
                producer.list_topics(topic, timeout=2.0) for topic in (options.input_topic, options.output_topic)
            ]
        except KafkaException as exc:
            problem = str(exc.args[0])
        else:
            found = [answer.topics[topic] for answer, topic in zip(answers, _topics(options), strict=True)]
            errors = [str(one.error) for one in found if one.error is not None]
            if not errors and all(one.partitions for one in found):
                return str(answers[0].cluster_id).startswith(MOCK_PREFIX), len(found[1].partitions)
            problem = "; ".join(errors)
        time.sleep(ASKING_S)
    raise StartupError(
        f"Kafka at {options.broker} does not offer the topics {' and '.join(_topics(options))}: {problem}; "
        "start it, check --broker, or create the topics"
    )


def _topics(options: KafkaOptions) -> tuple[str, str]:
    return options.input_topic, options.output_topic


def _common(options: KafkaOptions, on_error: ErrorCallback) -> dict[str, Any]:
    return {
        "bootstrap.servers": options.broker,
        "client.id": "proofload-kafka-worker",
        "error_cb": on_error,
        "socket.nagle.disable": True,
        "reconnect.backoff.max.ms": 1000,
        "log_level": 0,  # what matters comes through error_cb, into the JSON log
    }
