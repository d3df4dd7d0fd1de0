"""Now and then everything waits for a moment: a collection of garbage, a neighbour on the same host."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proofload_servers.serving.batcher import Compute
from proofload_servers.serving.seams import Seams

from ._fault import Fault, chances


@dataclass(frozen=True, slots=True)
class Options:
    """Stalls of `ms`, at random instants, `every_s` on average."""

    ms: float = 150.0
    every_s: float = 8.0
    seed: int = 1

    def __post_init__(self) -> None:
        if self.every_s <= 0.0:
            raise ValueError("every_s must be more than 0")


def plant(options: Options) -> Seams:
    gap = chances(options.seed, "stalls").expovariate

    def stalling(compute: Compute) -> Compute:
        due = time.monotonic() + gap(1.0 / options.every_s)

        def stall_and_compute(rows: list[Any]) -> Sequence[Any]:
            nonlocal due
            if time.monotonic() >= due:
                time.sleep(options.ms / 1e3)
                due = time.monotonic() + gap(1.0 / options.every_s)
            return compute(rows)

        return stall_and_compute

    return Seams(compute=stalling)


FAULT = Fault(
    "stalls for a moment now and then", scenario="canary-rollback", options=Options, plant=plant, control=True
)
