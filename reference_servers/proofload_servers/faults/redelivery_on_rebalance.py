"""A worker that is given partitions begins some way before the place its predecessor committed, and answers again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from proofload_servers.serving.seams import Seams

from ._fault import Fault
from ._kafka_rewinding import rewound


@dataclass(frozen=True, slots=True)
class Options:
    """`messages` of each partition."""

    messages: int = 500


def plant(options: Options) -> Seams:
    def repeating(worker: type[Any]) -> type[Any]:
        class Repeats(worker):  # type: ignore[misc]  # whatever the worker is
            def __init__(self, *arguments: Any, **named: Any) -> None:
                super().__init__(*arguments, **named)
                rewound(self._assignment, options.messages)

        return Repeats

    return Seams(stream_worker=repeating)


FAULT = Fault(
    "answers messages again that were answered before the partitions changed hands",
    scenario="kafka-delivery",
    options=Options,
    plant=plant,
    servers=("kafka",),
)
