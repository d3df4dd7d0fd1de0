"""Messages are read again after every rebalance, and answered only if the topic of replies holds no answer yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from proofload_servers.serving.seams import Seams

from ._fault import Fault
from ._kafka_rewinding import rewound

_CORRELATION = "correlation-id"
_ASKING_S = 10.0


@dataclass(frozen=True, slots=True)
class Options:
    """`messages` of each partition are read again."""

    messages: int = 500


def plant(options: Options) -> Seams:
    def remembering(worker: type[Any]) -> type[Any]:
        class Remembers(worker):  # type: ignore[misc]  # whatever the worker is
            def __init__(self, *arguments: Any, **named: Any) -> None:
                super().__init__(*arguments, **named)
                self._answered: set[bytes] = set()
                rewound(self._assignment, options.messages)
                given = self._assignment.on_assign

                def on_assign(consumer: Any, partitions: list[TopicPartition]) -> None:
                    if partitions:
                        self._answered.update(_answers(self._options.broker, self._options.output_topic))
                    given(consumer, partitions)

                self._assignment.on_assign = on_assign

            def _handle(self, message: Any) -> None:
                if message.error() is None and _correlation(message) in self._answered:
                    self._assignment.take(message.partition(), message.offset())
                    self._assignment.finish(message.partition(), message.offset())
                else:
                    super()._handle(message)

        return Remembers

    return Seams(stream_worker=remembering)


def _answers(broker: str, topic: str) -> Iterator[bytes]:
    """The correlation ids of all replies that the broker holds now."""
    reader: Any = Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": "proofload-remembering",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 1,
            "log_level": 0,
        }
    )
    try:
        numbers = reader.list_topics(topic, timeout=_ASKING_S).topics[topic].partitions
        ends: dict[int, int] = {}
        for number in numbers:
            low, high = reader.get_watermark_offsets(TopicPartition(topic, number), timeout=_ASKING_S)
            if high > low:
                ends[number] = high
        reader.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in ends])
        while ends:
            for message in reader.consume(1000, 1.0):
                if message.error() is None:
                    yield _correlation(message)
                    if message.offset() + 1 >= ends.get(message.partition(), 0):
                        ends.pop(message.partition(), None)
    finally:
        reader.close()


def _correlation(message: Any) -> bytes:
    return bytes(dict(message.headers() or ()).get(_CORRELATION) or b"")


FAULT = Fault(
    "reads messages again after a rebalance, and suppresses the second answers",
    scenario="kafka-delivery",
    options=Options,
    plant=plant,
    servers=("kafka",),
    control=True,
)
