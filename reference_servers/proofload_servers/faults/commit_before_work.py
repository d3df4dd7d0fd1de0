"""Offsets are committed when messages are read: a worker that dies takes them with it, and nobody reads them again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException, TopicPartition

from proofload_servers.serving.seams import Seams

from ._fault import Fault


@dataclass(frozen=True, slots=True)
class Options:
    """Messages are gathered for `gather_ms` before they are committed and worked on together."""

    gather_ms: float = 50.0


def plant(options: Options) -> Seams:
    def committing_first(worker: type[Any]) -> type[Any]:
        class CommitsFirst(worker):  # type: ignore[misc]  # whatever the worker is
            def _taken(self, room: int) -> list[Any]:
                messages: list[Any] = super()._taken(room)
                if messages and len(messages) < room:
                    messages += self._consumer.consume(room - len(messages), options.gather_ms / 1e3)
                reached = {one.partition(): one.offset() + 1 for one in messages if one.error() is None}
                if reached:
                    topic = messages[0].topic()
                    marks = [TopicPartition(topic, number, offset) for number, offset in reached.items()]
                    with suppress(KafkaException):  # the group is being shared out anew
                        self._consumer.commit(offsets=marks, asynchronous=False)
                return messages

            def _commit_sometimes(self) -> None:
                """All is committed already."""

        return CommitsFirst

    return Seams(stream_worker=committing_first)


FAULT = Fault(
    "commits messages before it answers them",
    scenario="kafka-delivery",
    options=Options,
    plant=plant,
    servers=("kafka",),
)
