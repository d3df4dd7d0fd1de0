"""Drift of one feature between two logs: the same process twice, in awkward shapes; and a process that has moved."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from proofload.analysis.drift import measure, significant
from proofload.analysis.feature_values import Values
from proofload.records import Status
from proofload.selftest import Shape
from proofload.verdict.skew import rule_drift

LIMIT, ALPHA_FAIL, ALPHA_PASS = 0.1, 0.001, 0.05
ROWS = 2_000
Make = Callable[[np.random.Generator], NDArray[np.float64]]


def create() -> DriftTrial:
    return DriftTrial()


class DriftTrial:
    scenario = "skew"
    decides = "a feature's distribution has changed"

    def shapes(self) -> Sequence[Shape]:
        harmless = {
            "independent": lambda rng: rng.normal(size=ROWS),
            "heavy tail": lambda rng: rng.standard_t(2, ROWS),
            "counts": lambda rng: rng.poisson(3.0, ROWS).astype(float),
            "a category in twelve": lambda rng: rng.choice(12, ROWS, p=_falling(12)).astype(float),
            "autocorrelated (0.9)": lambda rng: _ar1(rng, 0.9),
            "sawtooth with a period of 100 rows": _sawtooth,
            "in bursts of one value": _bursts,
            "a twentieth missing": _missing,
            "50 rows of each of 40 users, mixed": _users,
        }
        nulls = tuple(
            Shape(name, "null", lambda rng, make=make: _decide(make(rng), make(rng), rng), alpha=ALPHA_FAIL)  # type: ignore[misc]
            for name, make in harmless.items()
        )
        curve = tuple(
            Shape(
                f"mean moved by {shift:.2g} sd",
                "effect",
                lambda rng, shift=shift: _decide(rng.normal(size=ROWS), rng.normal(shift, 1.0, ROWS), rng),  # type: ignore[misc]
                alpha=ALPHA_PASS,
                magnitude=ks / LIMIT,
                detect=0.99 if ks >= 0.2 else None,
                curve="distance of distributions (KS), in limits, 2,000 rows a side",
            )
            for shift, ks in ((0.301, 0.12), (0.378, 0.15), (0.455, 0.18), (0.507, 0.2), (0.64, 0.25), (1.05, 0.4))
        )
        unknown = Shape(
            "a quarter of the rows has a new category", "effect",
            lambda rng: _decide(
                rng.choice(12, ROWS, p=_falling(12)).astype(float),
                np.where(rng.random(ROWS) < 0.25, 99.0, rng.choice(12, ROWS, p=_falling(12))), rng,
            ),
            alpha=ALPHA_PASS, magnitude=2.5, detect=0.99,
        )  # fmt: skip
        apart = Shape(
            "one value for each of 40 users, whole numbers, mixed",
            "apart",
            lambda rng: _decide(np.round(100 * _users(rng)), np.round(100 * _users(rng)), rng),
            why="whole numbers that come again do not tell that they are one user's; name `entity` or sample users",
        )
        return (*nulls, *curve, unknown, apart)


def _decide(a: NDArray[np.float64], b: NDArray[np.float64], rng: np.random.Generator) -> Status:
    found = measure(Values.of_numbers(a), Values.of_numbers(b), rng)
    assert found is not None
    (real,) = significant([found.p_value], ALPHA_FAIL)
    return rule_drift(found, significant=real, limit=LIMIT, alpha_fail=ALPHA_FAIL, alpha_pass=ALPHA_PASS)[0]


def _ar1(rng: np.random.Generator, phi: float) -> NDArray[np.float64]:
    steps = rng.normal(size=ROWS + 200)
    walk: NDArray[np.float64] = lfilter([1.0], [1.0, -phi], steps)[200:]
    return walk


def _sawtooth(rng: np.random.Generator) -> NDArray[np.float64]:
    return (np.arange(ROWS) + rng.integers(100)) % 100 / 25.0 + rng.normal(size=ROWS)


def _bursts(rng: np.random.Generator) -> NDArray[np.float64]:
    lengths = rng.geometric(1 / 20, ROWS)
    return np.repeat(rng.normal(size=ROWS), lengths)[:ROWS]


def _missing(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.where(rng.random(ROWS) < 0.05, np.nan, rng.normal(size=ROWS))


def _users(rng: np.random.Generator) -> NDArray[np.float64]:
    mixed: NDArray[np.float64] = rng.permutation(np.repeat(rng.normal(size=40), ROWS // 40))
    return mixed


def _falling(count: int) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = 1.0 / np.arange(1, count + 1)
    return np.asarray(weights / weights.sum())
