"""Does memory grow without end? Histories of a quick soak, and the rule of `verdict.soak`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from proofload.analysis.trend import Column
from proofload.records import Status
from proofload.selftest import Shape, Trial
from proofload.selftest.trials import _soak_histories as histories
from proofload.verdict.soak import judge_growth

_CURVE = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0)
_TOO_SLOW = (
    "a quick run sees less than one whole cycle of it: a leak looks the same until the run is several times longer"
)
Make = Callable[[np.random.Generator], Column]


def create() -> Trial:
    return SoakMemory()


class SoakMemory:
    """See `proofload.selftest.Trial`."""

    scenario = "soak"
    decides = "memory grows without end"

    def shapes(self) -> Sequence[Shape]:
        h = histories
        return (
            _null("flat", h.noise),
            _null("flat, strongly correlated", lambda rng: h.noise(rng, 0.3, 0.9)),
            _null("random walk that returns", lambda rng: h.noise(rng, 0.5, 0.97), alpha=0.005),
            _null("sawtooth, period 2 to 10 s", lambda rng: h.sawtooth(rng, 2.0, 10.0) + h.noise(rng, 0.02)),
            _null("sawtooth, period 10 to 25 s", lambda rng: h.sawtooth(rng, 10.0, 25.0) + h.noise(rng, 0.02)),
            _null("cache that fills in the first half", lambda rng: h.fill(rng, 0.05, 0.5) + h.noise(rng, 0.02)),
            _null("cache that fills and stops before 0.85 of the run",
                  lambda rng: h.fill(rng, 0.05, 0.85) + h.noise(rng), alpha=0.006),
            _null("steps of arenas and tables", lambda rng: h.steps(rng) + h.noise(rng, 0.02)),
            _null("bursts", lambda rng: h.bursts(rng) + h.noise(rng)),
            Shape("readings that stall, flat", "null", _stalling(0.0), alpha=0.001),
            Shape("readings that stall, leak of 4 margins", "effect", _stalling(4.0),
                  alpha=0.01, magnitude=4.0, detect=0.99),
            *(_leak(margins) for margins in _CURVE),
            Shape("leak of 4 margins with a step", "effect", _decide(
                lambda rng: h.leak(4.0) + h.noise(rng) + 2 * h.MARGIN * (rng.uniform(0.0, h.SECONDS) < h.T)),
                alpha=0.01, magnitude=4.0),
            Shape("leak of one margin under a sawtooth of 2 to 9 s", "effect", _decide(
                lambda rng: h.sawtooth(rng, 2.0, 9.0) + h.leak(1.1) + h.noise(rng, 0.02)), alpha=0.02, magnitude=1.1),
            _apart("sawtooth, period 25 to 60 s", lambda rng: h.sawtooth(rng, 25.0, 60.0) + h.noise(rng, 0.02)),
            _apart("cache that fills exponentially, slowly", lambda rng: h.slow_fill(rng) + h.noise(rng)),
        )  # fmt: skip


def _decide(make: Make) -> Callable[[np.random.Generator], Status]:
    return lambda rng: judge_growth(histories.T, make(rng), histories.rule()).status


def _stalling(margins: float) -> Callable[[np.random.Generator], Status]:
    def decide(rng: np.random.Generator) -> Status:
        values = histories.leak(margins) + histories.noise(rng)
        return judge_growth(*histories.stalls(rng, values), histories.rule()).status

    return decide


def _null(name: str, make: Make, alpha: float = 0.001) -> Shape:
    return Shape(name, "null", _decide(make), alpha=alpha)


def _leak(margins: float) -> Shape:
    return Shape(
        f"leak of {margins:g} margins",
        "effect",
        _decide(lambda rng: histories.leak(margins) + histories.noise(rng)),
        alpha=0.01,
        magnitude=margins,
        detect=0.99 if margins >= 3.0 else None,
        curve="leak",
    )


def _apart(name: str, make: Make) -> Shape:
    return Shape(name, "apart", _decide(make), why=_TOO_SLOW)
