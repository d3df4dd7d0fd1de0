"""Parity of one feature: rows that agree but for float noise, rows that differ at the limit, rows that differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.feature_values import Values
from proofload.analysis.parity import compare, strata
from proofload.procedures._skew.words import GUARDS
from proofload.records import Status
from proofload.selftest import Shape
from proofload.verdict.skew import rule_feature

LIMIT, ALPHA_FAIL, ALPHA_PASS = 0.01, 0.001, 0.05
"""A scenario's; features have their share of the first, as in the procedure."""
ROWS = 1_000
RTOL = 1e-5


def create() -> ParityTrial:
    return ParityTrial()


class ParityTrial:
    scenario = "skew"
    decides = "a feature differs between training and serving"

    def shapes(self) -> Sequence[Shape]:
        harmless = (
            Shape("equal", "null", lambda rng: _differing(rng, 0.0), alpha=ALPHA_FAIL),
            Shape("float noise of a relative 1e-6", "null", _noise, alpha=ALPHA_FAIL),
            Shape("differs in 1 % of rows, the limit", "null", lambda rng: _differing(rng, LIMIT), alpha=ALPHA_FAIL),
            Shape("in 1 % of events, each seen eight times", "null", _repeated, alpha=ALPHA_FAIL),
            Shape("in 1 % of rows of twelve categories", "null", _of_categories, alpha=ALPHA_FAIL),
            Shape("in 1 % of rows, a fifth of them missing", "null", _some_missing, alpha=ALPHA_FAIL),
        )
        harmful = tuple(
            Shape(
                f"differs in {share:.1%} of rows",
                "effect",
                lambda rng, share=share: _differing(rng, share),  # type: ignore[misc]
                alpha=ALPHA_PASS,
                magnitude=share / LIMIT,
                detect=0.99 if share >= 0.04 else None,
                curve="share of rows that differ, in limits, 1,000 rows",
            )
            for share in (0.012, 0.015, 0.02, 0.025, 0.03, 0.04, 0.06, 0.1)
        )
        filled = Shape("1 % missing, filled with 0", "effect", _filled, alpha=ALPHA_PASS, magnitude=1.0, detect=0.99)
        return (*harmless, *harmful, filled)


def _verdict(reference: Values, serving: Values, unit: NDArray[np.int64] | None = None) -> Status:
    differs = compare(reference, serving, RTOL).any
    units = np.arange(len(differs)) if unit is None else unit
    parts = strata(reference)
    mine = ALPHA_FAIL / (1 + GUARDS)
    return rule_feature(differs, units, parts, limit=LIMIT, alpha_fail=mine, alpha_pass=ALPHA_PASS).status


def _differing(rng: np.random.Generator, share: float) -> Status:
    wanted = rng.lognormal(3.0, 1.0, ROWS)
    got = np.where(rng.random(ROWS) < share, wanted * rng.uniform(1.1, 3.0, ROWS), wanted)
    return _verdict(Values.of_numbers(wanted), Values.of_numbers(got))


def _noise(rng: np.random.Generator) -> Status:
    wanted = rng.lognormal(3.0, 2.0, ROWS) * rng.choice([-1.0, 1.0], ROWS)
    return _verdict(Values.of_numbers(wanted), Values.of_numbers(wanted * (1 + 1e-6 * rng.standard_normal(ROWS))))


def _repeated(rng: np.random.Generator) -> Status:
    events, times = 400, 8
    wanted = rng.normal(size=events)
    got = np.where(rng.random(events) < LIMIT, wanted + 1.0, wanted)
    unit = rng.permutation(np.repeat(np.arange(events), times))
    return _verdict(Values.of_numbers(wanted[unit]), Values.of_numbers(got[unit]), unit)


def _of_categories(rng: np.random.Generator) -> Status:
    wanted = rng.choice(12, ROWS, p=_falling(12)).astype(float)
    got = np.where(rng.random(ROWS) < LIMIT, (wanted + 1) % 12, wanted)
    return _verdict(Values.of_numbers(wanted), Values.of_numbers(got))


def _some_missing(rng: np.random.Generator) -> Status:
    wanted = np.where(rng.random(ROWS) < 0.2, np.nan, rng.normal(size=ROWS))
    got = np.where(rng.random(ROWS) < LIMIT, np.where(np.isnan(wanted), 0.0, np.nan), wanted)
    return _verdict(Values.of_numbers(wanted), Values.of_numbers(got))


def _filled(rng: np.random.Generator) -> Status:
    wanted = rng.normal(10.0, 3.0, ROWS)
    wanted[rng.choice(ROWS, 10, replace=False)] = np.nan
    return _verdict(Values.of_numbers(wanted), Values.of_numbers(np.nan_to_num(wanted)))


def _falling(count: int) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = 1.0 / np.arange(1, count + 1)
    return np.asarray(weights / weights.sum())
