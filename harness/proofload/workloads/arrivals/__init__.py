"""When requests are due. One file per arrival process, found by discovery.

An arrival module defines

    create(spec: ArrivalSpec) -> Iterator[NDArray[np.int64]]

which yields blocks of due times: nanoseconds from the phase's start, not decreasing, all below the
phase's duration, the same for the same spec. Every engine process makes the whole schedule and keeps
its own share, so nothing is sent between them. It raises InputError for a shape it cannot follow.
Where the shape itself has an end, a module may also define

    ends_s(spec: ArrivalSpec) -> float

the seconds after which nothing more comes; a phase of `load` ends then, if its duration is longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BLOCK = 4096
"""Due times per block."""


@dataclass(frozen=True, slots=True)
class ArrivalSpec:
    """What an arrival process may know. Plain data."""

    name: str
    rate_rps: float
    duration_s: float
    seed: int = 0
    shape: Mapping[str, Any] = field(default_factory=dict)
    """The scenario's [shape] table: what this arrival process alone understands."""
