"""Are the first answers of fresh instances slower than those of the warm one by more than is permitted?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from proofload.analysis.openings import Requests
from proofload.clock import NS_PER_S
from proofload.selftest import Shape
from proofload.selftest.trials._cold_histories import (
    NULLS,
    PENALTY_MS,
    Spoil,
    deciding,
    even,
    heavy_tailed,
    of,
    stalling,
)
from proofload.verdict.cold_openings import slow_harm

ALPHA = 0.001
_slow = partial(slow_harm, penalty_ms=PENALTY_MS)


def create() -> FirstRequests:
    return FirstRequests()


class FirstRequests:
    scenario = "cold-start"
    decides = "the first answers of fresh instances are slow"

    def shapes(self) -> Sequence[Shape]:
        nulls = [
            Shape(f"first requests: {name}", "null", deciding(_slow, make), alpha=ALPHA) for name, make in NULLS.items()
        ]
        curve = [
            Shape(
                f"first requests: one stall of {times:g} × the margin",
                "effect",
                deciding(_slow, even, _stalled(times)),
                alpha=0.01 if times >= 1.5 else None,
                magnitude=times,
                detect=0.99 if times >= 1.5 else None,
                curve="cold-start: first answer slower by so many margins, in every restart",
            )
            for times in (0.5, 0.9, 1.0, 1.1, 1.5, 3.0)
        ]
        others = [
            Shape(
                "first requests: ten slow answers, twice the margin at first",
                "effect",
                deciding(_slow, even, _row_of_slow_ones),
                alpha=0.01,
                magnitude=2.0,
                detect=0.99,
            ),
        ]
        apart = [
            Shape(
                "first requests: slow in one of five restarts",
                "apart",
                deciding(_slow, even, _now_and_then),
                magnitude=3.0,
                why="one or two of eight restarts are too few to fail and too many to pass; it takes more",
            ),
            Shape(
                "first requests: a stall of three margins on a host that stalls every 10 s",
                "apart",
                deciding(_slow, stalling(10.0), _stalled(3.0)),
                magnitude=3.0,
                why="three stalls in the warm stretch of 8 s are as many as the comparison bears; it takes longer then",
            ),
            Shape(
                "first requests: a stall of three margins under a heavy tail",
                "apart",
                deciding(_slow, heavy_tailed, _stalled(3.0)),
                magnitude=3.0,
                why="a warm instance whose answers take 0.1 s now and then hides a first one of 0.3 s",
            ),
        ]
        return [*nulls, *curve, *others, *apart]


def _stalled(times: float) -> Spoil:
    """The first answer takes so many margins, and all that come meanwhile wait for it."""

    def spoil(_rng: np.random.Generator, life: Requests) -> Requests:
        at = life.due_ns / NS_PER_S
        left_ms = (at[0] - at) * 1e3 + times * PENALTY_MS
        return of(at, life.latency_ms + np.maximum(0.0, left_ms))

    return spoil


def _row_of_slow_ones(_rng: np.random.Generator, life: Requests) -> Requests:
    latency = life.latency_ms.copy()
    count = min(10, len(latency))
    latency[:count] += np.linspace(2.0 * PENALTY_MS, 0.2 * PENALTY_MS, 10)[:count]
    return of(life.due_ns / NS_PER_S, latency)


def _now_and_then(rng: np.random.Generator, life: Requests) -> Requests:
    return _stalled(3.0)(rng, life) if rng.random() < 0.2 else life
