"""Each batch waits until it is full, for a long time if need be: tuned for an average load that was once measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

from proofload_servers.serving.seams import Seams
from proofload_servers.serving.settings import Settings

from ._fault import Fault


@dataclass(frozen=True, slots=True)
class Options:
    """Requests in a full batch, and the longest that the oldest of them waits for the others."""

    batch: int = 8
    delay_ms: float = 200.0

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError("batch must be at least 1")


def plant(options: Options) -> Seams:
    def waiting(settings: Settings) -> Settings:
        return replace(settings, adaptive=False, max_batch=options.batch, max_delay_ms=options.delay_ms)

    return Seams(settings=waiting)


FAULT = Fault("waits for a full batch, for long", scenario="peak-10x", options=Options, plant=plant)
