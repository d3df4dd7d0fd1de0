"""Do answers get slower as the process ages? 64 cells of 178 requests each: 300/s for 38 s, a quick soak."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.signal import lfilter

from proofload.analysis.ageing import BINS, Cell, bins_of
from proofload.analysis.trend import SETTLING
from proofload.procedures._soak.creep import creep_of
from proofload.records import Status
from proofload.selftest import Shape, Trial
from proofload.selftest.trials._soak_histories import ALPHA_FAIL
from proofload.verdict.soak_latency import P50, P99, Allowance

_SECONDS = 38.0
_CELLS = 64
_EACH = 178
_CURVE = (1.0, 1.5, 2.0, 3.0, 5.0)
_RARE = "a quick run holds a handful of such bursts: where they fall decides"
Latencies = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Make = Callable[[np.random.Generator], Latencies]


def create() -> Trial:
    return SoakLatency()


class SoakLatency:
    """See `proofload.selftest.Trial`."""

    scenario = "soak"
    decides = "answers get slower with age"

    def shapes(self) -> Sequence[Shape]:
        shapes = []
        for one in (P50, P99):
            shapes += [
                Shape(f"{one.name}: steady", "null", _decide(_steady, one), alpha=0.001),
                Shape(f"{one.name}: wandering level", "null", _decide(_wandering, one), alpha=0.001),
                Shape(f"{one.name}: stalls of a neighbour", "null", _decide(_stalling, one), alpha=0.001),
                Shape(f"{one.name}: heavy tail", "null", _decide(_heavy, one), alpha=0.001),
                Shape(f"{one.name}: slower for a while", "null", _decide(_slow_middle, one), alpha=0.001),
                *(_creep(one, margins) for margins in _CURVE),
            ]
        shapes.append(
            Shape("p99: creep by 1 margin under stalls", "apart", _decide(_grown(_stalling, P99, 1.0), P99), why=_RARE)
        )
        return shapes


def _decide(make: Make, allowance: Allowance) -> Callable[[np.random.Generator], Status]:
    return lambda rng: creep_of(_cells(make(rng)), allowance, alpha_fail=ALPHA_FAIL, alpha_pass=0.01).status


def _creep(allowance: Allowance, margins: float) -> Shape:
    return Shape(
        f"{allowance.name}: creep by {margins:g} margins",
        "effect",
        _decide(_grown(_steady, allowance, margins), allowance),
        alpha=0.01 if margins > 1.0 else 0.02,
        magnitude=margins,
        detect=0.99 if margins >= (3.0 if allowance is P50 else 5.0) else None,
        curve=f"creep of {allowance.name}",
    )


def _steady(rng: np.random.Generator) -> Latencies:
    """Milliseconds, lognormal about a level of its own that scatters by 5 % from cell to cell."""
    level = rng.uniform(1.0, 20.0) * np.exp(_scatter(rng, 0.05, 0.3))
    return np.asarray(level[:, None] * rng.lognormal(0.0, 0.35, (_CELLS, _EACH)))


def _wandering(rng: np.random.Generator) -> Latencies:
    return _steady(rng) * np.exp(_scatter(rng, 0.08, 0.85))[:, None]


def _stalling(rng: np.random.Generator) -> Latencies:
    found = _steady(rng)
    for cell in rng.integers(0, _CELLS, 4):
        found[cell] += rng.uniform(5.0, 100.0) * (rng.random(_EACH) < 0.3)
    return found


def _heavy(rng: np.random.Generator) -> Latencies:
    found = _steady(rng)
    return found + np.where(rng.random(found.shape) < 0.012, rng.exponential(15.0, found.shape), 0.0)


def _slow_middle(rng: np.random.Generator) -> Latencies:
    """Half as slow again for a fifth of the run, anywhere but at its end."""
    found = _steady(rng)
    begin = rng.integers(0, _CELLS * 3 // 5)
    found[begin : begin + _CELLS // 5] *= 1.5
    return found


def _grown(base: Make, allowance: Allowance, margins: float) -> Make:
    def make(rng: np.random.Generator) -> Latencies:
        """The whole distribution is drawn out, so that its percentile grows by this over the judged window."""
        found = base(rng)
        typical = float(np.quantile(found, allowance.q))
        allowed = allowance.grown(typical) / typical - 1.0
        age = (np.arange(_CELLS) + 0.5) / _CELLS
        return np.asarray(
            found * (1.0 + margins * allowed * np.maximum(age - SETTLING, 0.0) / (1.0 - SETTLING))[:, None]
        )

    return make


def _scatter(rng: np.random.Generator, sd: float, phi: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(lfilter([1.0], [1.0, -phi], rng.normal(0.0, sd * np.sqrt(1.0 - phi * phi), _CELLS)))


def _cells(latencies_ms: Latencies) -> list[Cell]:
    flat = bins_of(latencies_ms * 1e6) + BINS * np.arange(_CELLS)[:, None]
    counts = np.bincount(flat.ravel(), minlength=BINS * _CELLS).reshape(_CELLS, BINS)
    length_ns = _SECONDS / _CELLS * 1e9
    return [
        Cell(round(number * length_ns), round((number + 1) * length_ns), row, _EACH, 0)
        for number, row in enumerate(counts)
    ]
