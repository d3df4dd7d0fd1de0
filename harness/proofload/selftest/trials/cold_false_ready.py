"""Do requests fail on fresh instances that have said ready?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from proofload.analysis.openings import Requests
from proofload.clock import NS_PER_S
from proofload.selftest import Shape
from proofload.selftest.trials._cold_histories import (
    NULLS,
    Spoil,
    deciding,
    even,
    failing,
    refused,
    stalling,
)
from proofload.verdict.cold_openings import failing_harm

ALPHA = 0.001


def create() -> FalseReady:
    return FalseReady()


class FalseReady:
    scenario = "cold-start"
    decides = "requests fail although it says ready"

    def shapes(self) -> Sequence[Shape]:
        background = {
            "1 in 1,000 fails": failing(even, 0.001),
            "1 in 100 fails": failing(even, 0.01),
            "1 in 20 fails": failing(even, 0.05),
            "bursts of 20 failures, 1 in 100 in all": failing(even, 0.01, together=20),
            "bursts of 20 failures, 1 in 20 in all": failing(even, 0.05, together=20),
            "stalls, 1 in 100 fails": failing(stalling(2.0), 0.01),
        }
        nulls = [
            Shape(f"false ready: {name}", "null", deciding(failing_harm, make), alpha=ALPHA)
            for name, make in {**NULLS, **background}.items()
        ]
        curve = [
            Shape(
                f"false ready for {seconds:g} s after the first request",
                "effect",
                deciding(failing_harm, even, _not_yet(seconds)),
                alpha=0.01 if seconds >= 0.1 else None,
                magnitude=seconds,
                detect=0.99 if seconds >= 0.1 else None,
                curve="cold-start: seconds for which all requests fail, in every restart",
            )
            for seconds in (0.01, 0.02, 0.03, 0.05, 0.1, 0.5)
        ]
        half = Shape(
            "false ready for 0.3 s in one of two workers",
            "effect",
            deciding(failing_harm, even, _not_yet(0.3, share=0.5)),
            alpha=0.01,
            magnitude=0.3,
            detect=0.99,
        )
        apart = Shape(
            "false ready for 0.5 s in one of five restarts",
            "apart",
            deciding(failing_harm, even, _now_and_then),
            magnitude=0.5,
            why="one or two of eight restarts are too few to fail and too many to pass; it takes more",
        )
        return [*nulls, *curve, half, apart]


def _not_yet(seconds: float, share: float = 1.0) -> Spoil:
    def spoil(rng: np.random.Generator, life: Requests) -> Requests:
        since_s = (life.due_ns - life.due_ns[0]) / NS_PER_S
        return refused(life, life.bad | ((since_s < seconds) & (rng.random(len(life)) < share)))

    return spoil


def _now_and_then(rng: np.random.Generator, life: Requests) -> Requests:
    return _not_yet(0.5)(rng, life) if rng.random() < 0.2 else life
