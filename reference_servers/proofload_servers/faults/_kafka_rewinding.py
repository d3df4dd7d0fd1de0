"""A stream worker that begins before the place its group has committed."""

from __future__ import annotations

from typing import Any

from confluent_kafka import TopicPartition

_ASKING_S = 10.0


def rewound(assignment: Any, messages: int) -> None:
    """Let this assignment begin so many messages of each partition earlier, or with the oldest there is."""
    honest = assignment.on_assign

    def on_assign(consumer: Any, partitions: list[TopicPartition]) -> None:
        honest(consumer, partitions)
        if partitions:
            consumer.assign([_earlier(consumer, one, messages) for one in consumer.committed(partitions, _ASKING_S)])

    assignment.on_assign = on_assign


def _earlier(consumer: Any, committed: TopicPartition, messages: int) -> TopicPartition:
    low, _ = consumer.get_watermark_offsets(committed, timeout=_ASKING_S)
    return TopicPartition(committed.topic, committed.partition, max(low, committed.offset - messages))
