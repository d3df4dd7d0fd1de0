"""Means over lifetimes: right on average, as far off as they say, and not led astray by one that was disturbed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from proofload.analysis.pairs import estimate, noise_floor, pairs_for, sign_flips


def test_few_values_give_students_interval() -> None:
    values = [0.1, 0.2, 0.15, 0.3]
    found = estimate(values, alpha=0.01)
    assert found is not None
    low, high = stats.t.interval(0.99, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_too_few_or_unknown_values_give_none() -> None:
    assert estimate([0.1, 0.2], alpha=0.01) is None
    assert estimate([0.1, 0.2, math.nan], alpha=0.01) is None


@pytest.mark.parametrize(("n", "alpha"), [(6, 0.01), (12, 0.01), (12, 0.05), (24, 0.02)])
def test_the_interval_misses_about_as_often_as_it_says(n: int, alpha: float) -> None:
    """3,000 histories: more than 1.2 times alpha and four standard errors would be wrong."""
    rng = np.random.default_rng(7)
    missed = 0
    for row in rng.normal(0.0, 0.03, (3000, n)).tolist():
        found = estimate(row, alpha=alpha)
        assert found is not None
        missed += not found.low <= 0.0 <= found.high
    assert missed <= 3000 * alpha * 1.2 + 4 * math.sqrt(3000 * alpha)


def test_two_disturbed_lifetimes_of_twelve_do_not_widen_the_interval_much() -> None:
    calm = np.random.default_rng(1).normal(0.1, 0.01, 12).tolist()
    struck = [*calm[:10], 0.9, 1.4]
    quiet, loud = estimate(calm, alpha=0.01), estimate(struck, alpha=0.01)
    plain = estimate(struck, alpha=0.01, trimmed=False)
    assert quiet is not None
    assert loud is not None
    assert plain is not None
    assert loud.high - loud.low < 3 * (quiet.high - quiet.low)
    assert plain.high - plain.low > 10 * (loud.high - loud.low)


def test_the_signs_are_a_coins() -> None:
    values = [0.2, 0.1, -0.3, 0.4, 0.0, 0.2, 0.1, 0.05, 0.3]
    seen = sign_flips(values)
    assert seen.above == pytest.approx(stats.binomtest(7, 8, alternative="greater").pvalue)
    assert seen.below == pytest.approx(stats.binomtest(7, 8, alternative="less").pvalue)
    assert sign_flips([0.0, 0.0]).above == 1.0


def test_the_floor_is_what_nineteen_in_twenty_comparisons_with_itself_stay_within() -> None:
    rng = np.random.default_rng(3)
    within = 0
    for _ in range(400):
        rows = rng.normal(0.0, 0.03, (3, 12))
        floor = noise_floor(rows[:2].tolist(), 12)
        found = estimate((rng.normal(0.0, 0.03, 12) - rows[2]).tolist(), alpha=0.05)
        assert floor is not None
        assert found is not None
        within += abs(found.value) <= floor
    assert 0.88 <= within / 400 <= 0.99


def test_a_floor_of_nothing_is_none() -> None:
    assert noise_floor([[0.1, 0.2], [0.1]], 12) is None


def test_more_pairs_are_asked_for_only_when_they_would_settle_it() -> None:
    rng = np.random.default_rng(5)
    found = estimate(rng.normal(0.0, 0.05, 12).tolist(), alpha=0.01)
    assert found is not None
    needed = pairs_for(found, reach=0.03, alpha=0.01)
    assert needed is not None
    assert 12 < needed < 100
    assert pairs_for(found, reach=0.0, alpha=0.01) is None
    assert pairs_for(found, reach=1e-6, alpha=0.01) is None
