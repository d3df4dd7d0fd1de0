"""A full queue makes its callers wait for a place, on the very thread that answers everybody else."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from proofload_servers.serving.batcher import Batcher, Result, Work
from proofload_servers.serving.seams import Seams
from proofload_servers.serving.settings import Settings

from ._fault import Fault

LOOK_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Options:
    """Places in the queue."""

    places: int = 16

    def __post_init__(self) -> None:
        if self.places < 1:
            raise ValueError("places must be at least 1")


def plant(options: Options) -> Seams:
    def short(settings: Settings) -> Settings:
        return replace(settings, max_queue=options.places, max_wait_ms=0.0)

    def blocking(batcher: type[Batcher]) -> type[Batcher]:
        class Blocking(batcher):  # type: ignore[valid-type,misc]  # a class that is given
            def __init__(self, *args: Any, **limits: Any) -> None:
                self._room = threading.Condition()
                super().__init__(*args, **limits)

            def put(self, works: Sequence[Work]) -> None:
                with self._room:
                    while self.depth + len(works) > options.places and not self.closed:
                        self._room.wait(LOOK_AGAIN_S)
                    super().put(works)

            def _answer(self, results: list[tuple[Work, Result]]) -> None:
                super()._answer(results)
                with self._room:
                    self._room.notify_all()

        return Blocking

    return Seams(settings=short, batcher=blocking)


FAULT = Fault(
    "waits for a place in the full queue instead of refusing",
    scenario="peak-10x",
    options=Options,
    plant=plant,
    servers=("fastapi", "flask", "grpc"),
)
