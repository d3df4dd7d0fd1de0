"""Do descriptors, threads or sockets pile up? Whole numbers, mostly constant, with bursts of connections."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from proofload.analysis.trend import Column, calmed
from proofload.records import Status
from proofload.selftest import Shape, Trial
from proofload.selftest.trials import _soak_histories as histories
from proofload.verdict.soak import Rule, judge_growth

_MARGIN = 10.0
_CURVE = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 8.0)
Make = Callable[[np.random.Generator], Column]


def create() -> Trial:
    return SoakCounts()


class SoakCounts:
    """See `proofload.selftest.Trial`."""

    scenario = "soak"
    decides = "descriptors, threads or sockets pile up"

    def shapes(self) -> Sequence[Shape]:
        return (
            Shape("constant", "null", _decide(_constant), alpha=0.001),
            Shape("connections that come and go", "null", _decide(_busy), alpha=0.001),
            Shape("a pool that opens late", "null", _decide(_pool), alpha=0.001),
            Shape("a pool that fills by the middle of the run", "null", _decide(_filling), alpha=0.001),
            Shape("a pool that is recycled", "null", _decide(_recycled), alpha=0.001),
            *(_leak(margins, _every_so_many, "one in so many requests") for margins in _CURVE),
            *(_leak(margins, _at_random, "at random") for margins in (*_CURVE, 16.0)),
        )


def _decide(make: Make) -> Callable[[np.random.Generator], Status]:
    return lambda rng: judge_growth(histories.T, make(rng), Rule(_MARGIN, alpha_fail=histories.ALPHA_FAIL)).status


def _constant(rng: np.random.Generator) -> Column:
    return np.full(histories.READINGS, float(rng.integers(8, 60)))


def _busy(rng: np.random.Generator) -> Column:
    """About ten connections, and now and then a burst of some dozen, calmed as readings are."""
    level = 30.0 + np.round(histories.noise(rng, 2.0 / histories.MARGIN))
    return calmed(level + rng.integers(5, 40) * (rng.random(histories.READINGS) < 0.03))


def _pool(rng: np.random.Generator) -> Column:
    opened = rng.uniform(0.0, histories.SECONDS)
    return _constant(rng) + float(rng.integers(4, 64)) * (opened < histories.T)


def _filling(rng: np.random.Generator) -> Column:
    until = rng.uniform(0.1, 0.5) * histories.SECONDS
    return _constant(rng) + np.round(rng.integers(12, 64) * np.minimum(histories.T / until, 1.0))


def _recycled(rng: np.random.Generator) -> Column:
    return _constant(rng) + np.round(histories.sawtooth(rng, 3.0, 20.0))


def _every_so_many(rng: np.random.Generator, margins: float) -> Column:
    """One for every so many requests, and requests come at random."""
    requests = np.cumsum(rng.poisson(300.0 * histories.SECONDS / histories.READINGS, histories.READINGS))
    each = 300.0 * histories.WINDOW / (margins * _MARGIN)
    return _busy(rng) + np.floor(requests / each)


def _at_random(rng: np.random.Generator, margins: float) -> Column:
    """One at a time, at random instants: a walk, whose slope wanders by itself."""
    rate = margins * _MARGIN / histories.WINDOW
    return _constant(rng) + np.cumsum(rng.poisson(rate * histories.SECONDS / histories.READINGS, histories.READINGS))


def _leak(margins: float, make: Callable[[np.random.Generator, float], Column], named: str) -> Shape:
    enough, least = (8.0, 2.0) if make is _every_so_many else (16.0, 4.0)
    return Shape(
        f"{margins:g} margins, {named}",
        "effect",
        _decide(lambda rng: make(rng, margins)),
        alpha=0.01 if margins >= least else None,
        magnitude=margins,
        detect=0.99 if margins >= enough else None,
        curve=f"leak, {named}",
    )
