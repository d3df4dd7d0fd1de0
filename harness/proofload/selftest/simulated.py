"""Puts simulated histories before a decision, and counts what it decides."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass

import numpy as np

from proofload.analysis.shares import lower_bound, upper_bound
from proofload.records import Status
from proofload.selftest import Shape

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Tally:
    """What a decision made of `histories` histories of one shape."""

    shape: Shape
    histories: int
    counts: dict[Status, int]

    def share(self, status: Status) -> float:
        return self.counts.get(status, 0) / self.histories

    def upper(self, status: Status) -> float:
        """One-sided 95 % upper bound of the share."""
        return upper_bound(self.counts.get(status, 0), self.histories, 1.0 - CONFIDENCE)

    def lower(self, status: Status) -> float:
        """One-sided 95 % lower bound of the share."""
        return lower_bound(self.counts.get(status, 0), self.histories, 1.0 - CONFIDENCE)


def tally(shape: Shape, histories: int, *, seed: int = 1, first: int = 0) -> Tally:
    """Decide about `histories` histories. History k is the same whatever the others: its seed is (seed, shape, k)."""
    name = zlib.crc32(shape.name.encode())
    counts = Counter(
        shape.decide(np.random.default_rng([seed, name, number])) for number in range(first, first + histories)
    )
    return Tally(shape, histories, dict(counts))
