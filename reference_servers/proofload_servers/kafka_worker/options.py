"""The flags that only this server has."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Literal, cast

from proofload_servers.serving import add_flag

Guarantee = Literal["at-least-once", "exactly-once"]


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """Where requests come from and replies go. `start_at` counts for partitions the group never committed."""

    broker: str
    input_topic: str
    output_topic: str
    group: str
    start_at: Literal["latest", "earliest"]
    linger_ms: float
    connect_s: float
    session_s: float
    guarantee: Guarantee = "at-least-once"
    transaction_ms: float = 10.0


def add_kafka_flags(parser: argparse.ArgumentParser) -> None:
    add_flag(parser, "--broker", default=None, help="host:port of a Kafka broker; several with commas")
    add_flag(parser, "--input-topic", default="features", help="topic that requests are read from")
    add_flag(parser, "--output-topic", default="predictions", help="topic that replies are written to")
    add_flag(parser, "--group", default="proofload-kafka-worker", help="consumer group; workers of one group share")
    add_flag(
        parser,
        "--start-at",
        default="latest",
        choices=("latest", "earliest"),
        help="where a group without committed offsets begins",
    )
    add_flag(parser, "--linger-ms", default=1.0, kind=float, help="how long a reply waits for company on the wire")
    add_flag(
        parser, "--session-timeout-s", default=45.0, kind=float, help="after this silence the group gives the work away"
    )
    add_flag(
        parser,
        "--guarantee",
        default="at-least-once",
        choices=("at-least-once", "exactly-once"),
        help="what a reader of committed replies sees of each request; exactly-once needs a broker with transactions",
    )
    add_flag(
        parser,
        "--transaction-ms",
        default=10.0,  # a transaction that follows on the last at once is made to wait for its end, and longer
        kind=float,
        help="exactly-once: how long after a transaction the next may begin",
    )
    add_flag(parser, "--connect-s", default=30.0, kind=float, help="how long to look for the broker at start")


def kafka_options(namespace: argparse.Namespace) -> KafkaOptions:
    return KafkaOptions(
        broker=namespace.broker,
        input_topic=namespace.input_topic,
        output_topic=namespace.output_topic,
        group=namespace.group,
        start_at=cast("Literal['latest', 'earliest']", namespace.start_at),
        linger_ms=namespace.linger_ms,
        connect_s=namespace.connect_s,
        session_s=namespace.session_timeout_s,
        guarantee=cast("Guarantee", namespace.guarantee),
        transaction_ms=namespace.transaction_ms,
    )
