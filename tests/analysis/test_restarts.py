"""Order statistics over restarts, against known answers and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from proofload.analysis.restarts import bounded_quantile, restart_quantile, restarts_for, restarts_needed


@pytest.mark.parametrize(
    ("q", "confidence", "needed"),
    [(0.5, 0.95, 6), (0.9, 0.95, 29), (0.95, 0.95, 59), (0.9, 0.99, 44), (0.95, 0.99, 90), (0.99, 0.99, 459)],
)
def test_so_many_restarts_bound_a_quantile_and_one_fewer_does_not(q: float, confidence: float, needed: int) -> None:
    assert restarts_needed(q, confidence) == needed
    values = list(range(needed))
    assert restart_quantile(values, q, confidence).needs is None
    fewer = restart_quantile(values[:-1], q, confidence)
    assert (fewer.value, fewer.high, fewer.needs) == (None, None, needed)


def test_five_restarts_bound_the_median_from_above_alone() -> None:
    assert restarts_for(0.5) == 5
    assert restarts_for(0.9) == 29


def test_the_largest_of_n_bounds_the_quantile_that_is_said_of_n() -> None:
    assert bounded_quantile(0) == 0.0
    assert 1.0 - bounded_quantile(59) ** 59 == pytest.approx(0.95)


def test_bounds_are_observed_values_around_the_median() -> None:
    found = restart_quantile([5.0, 1.0, 3.0, 2.0, 4.0, 6.0], 0.5)
    assert (found.value, found.low, found.high) == (3.5, 1.0, 6.0)


def test_restarts_that_never_got_there_leave_the_bound_open() -> None:
    found = restart_quantile([1.0, 2.0, 3.0, 4.0, 5.0, math.inf], 0.5)
    assert found.value == pytest.approx(3.5)
    assert found.high is None
    assert found.needs is None


@pytest.mark.parametrize(("n", "q"), [(8, 0.5), (30, 0.5), (30, 0.9), (100, 0.95)])
def test_the_upper_bound_is_above_the_quantile_as_often_as_it_says(n: int, q: float) -> None:
    rng = np.random.default_rng(3)
    truth = -math.log(1.0 - q)
    missed = 0
    for _ in range(2000):
        high = restart_quantile(rng.exponential(1.0, n).tolist(), q).high
        assert high is not None
        missed += high < truth
    assert missed / 2000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)


def test_a_quantile_is_the_nearest_rank() -> None:
    found = restart_quantile(list(range(1, 31)), 0.9)
    assert (found.value, found.high) == (27, 30)


def test_no_number_of_restarts_bounds_the_slowest_of_all_and_one_is_made() -> None:
    assert restarts_for(1.0) == 1


@pytest.mark.parametrize(("n", "q"), [(28, 0.9), (60, 0.9), (10, 0.95), (100, 0.95)])
def test_the_lower_bound_is_the_highest_order_statistic_that_is_below_as_surely_as_stated(n: int, q: float) -> None:
    surely = [rank for rank in range(1, n + 1) if stats.binom.sf(rank - 1, n, q) >= 0.95]  # so many lie below
    found = restart_quantile(list(range(1, n + 1)), q)
    assert found.low == (max(surely) if surely else None)
