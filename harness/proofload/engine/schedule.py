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
    mirror: float = 0.0
    """The share of requests that are planned twice: the second is a mirror, for arm 1."""
    capture: bool = False
    scores: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive requests of one share: numbers, due times from the phase's start, payload indices.

    A mirror follows its original at once and has the same number, due time and payload.
    """

    seq: NDArray[np.int64]
    due_ns: NDArray[np.int64]
    payload: NDArray[np.int32]
    mirror: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.seq)


def share(plan: PhasePlan, *, payloads: int, worker: int, workers: int) -> Iterator[Block]:
    """The blocks of this worker's requests. Payloads are drawn uniformly, seeded, the same for any split."""
    spec = ArrivalSpec(plan.arrival, plan.rate_rps, plan.duration_s, plan.seed, plan.shape)
    draw = np.random.default_rng([plan.seed, 1])
    mirrored = np.random.default_rng([plan.seed, 3])
    first = 0
    for due_ns in module_for("arrival", plan.arrival).create(spec):
        payload = draw.integers(0, payloads, size=len(due_ns), dtype=np.int32)
        seq = np.arange(first, first + len(due_ns), dtype=np.int64)
        mine = slice((worker - first) % workers, None, workers)
        first += len(due_ns)
        twice = mirrored.random(len(due_ns)) < plan.mirror
        if len(seq[mine]):
            yield _block(seq[mine], due_ns[mine], payload[mine], twice[mine])


def _block(
    seq: NDArray[np.int64], due_ns: NDArray[np.int64], payload: NDArray[np.int32], twice: NDArray[np.bool_]
) -> Block:
    if not twice.any():
        return Block(seq, due_ns, payload, np.zeros(len(seq), np.uint8))
    copies = 1 + twice
    mirror = np.zeros(int(copies.sum()), np.uint8)
    mirror[np.cumsum(copies)[twice] - 1] = 1
    return Block(np.repeat(seq, copies), np.repeat(due_ns, copies), np.repeat(payload, copies), mirror)
