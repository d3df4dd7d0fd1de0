"""One engine process's share of a phase: when each request is due and which payload it carries.

Every process computes the whole schedule and keeps each `workers`-th request, so the union over the
processes is the same requests at the same instants whatever their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.discovery import module_for
from proofload.workloads.arrivals import ArrivalSpec


@dataclass(frozen=True, slots=True)
class PhasePlan:
    """A phase as the engine is told it. Plain data: it crosses to the engine process as JSON."""

    index: int
    name: str
    arrival: str
    rate_rps: float
    duration_s: float
    seed: int
    shape: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive requests of one share: numbers, due times from the phase's start, payload indices."""

    seq: NDArray[np.int64]
    due_ns: NDArray[np.int64]
    payload: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.seq)


def share(plan: PhasePlan, *, payloads: int, worker: int, workers: int) -> Iterator[Block]:
    """The blocks of this worker's requests. Payloads are drawn uniformly, seeded, the same for any split."""
    spec = ArrivalSpec(plan.arrival, plan.rate_rps, plan.duration_s, plan.seed, plan.shape)
    draw = np.random.default_rng([plan.seed, 1])
    first = 0
    for due_ns in module_for("arrival", plan.arrival).create(spec):
        payload = draw.integers(0, payloads, size=len(due_ns), dtype=np.int32)
        seq = np.arange(first, first + len(due_ns), dtype=np.int64)
        mine = slice((worker - first) % workers, None, workers)
        first += len(due_ns)
        if len(seq[mine]):
            yield Block(seq[mine], due_ns[mine], payload[mine])
