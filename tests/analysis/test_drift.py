"""Distances between distributions, against their libraries and by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import signal, stats
from scipy.spatial.distance import jensenshannon

from proofload.analysis.drift import correlation_time, measure, significant
from proofload.analysis.drift_signs import sign
from proofload.analysis.feature_values import Values

RNG = np.random.default_rng(3)


def test_the_distances_are_those_of_scipy() -> None:
    a, b = RNG.normal(size=3000), RNG.normal(0.4, 1.2, 2000)
    found = measure(Values.of_numbers(a), Values.of_numbers(b), RNG)
    assert found is not None
    assert found.measure == "KS"
    assert found.bias == 0.0
    assert found.effect == pytest.approx(stats.ks_2samp(a, b).statistic)
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance(a, b))


def test_the_divergence_of_categories_is_that_of_scipy_and_their_variation_is_counted() -> None:
    a, b = ["x"] * 600 + ["y"] * 400, ["x"] * 300 + ["y"] * 500 + ["z"] * 200
    left, right = (Values.of_objects(RNG.permutation(side).tolist()) for side in (a, b))
    found = measure(left, right, RNG)
    assert found is not None
    assert found.effect == pytest.approx(0.3)
    assert found.divergence == pytest.approx(jensenshannon([0.6, 0.4, 0], [0.3, 0.5, 0.2]) ** 2)


def test_psi_without_drift_is_what_two_hundred_rows_and_ten_bins_are_known_to_give() -> None:
    """Its 95th percentile is 0.17 there: a fixed threshold of 0.1 would alarm."""
    a, b = Values.of_numbers(RNG.normal(size=200)), Values.of_numbers(RNG.normal(size=200))
    found = measure(a, b, np.random.default_rng(1))
    assert found is not None
    assert 0.12 < found.psi_by_chance < 0.24


def test_rows_that_follow_one_another_are_worth_fewer() -> None:
    steps = RNG.normal(size=20_000)
    walk = np.zeros(20_000)
    for row in range(1, 20_000):
        walk[row] = 0.8 * walk[row - 1] + steps[row]
    assert correlation_time(walk) == pytest.approx((1 + 0.8) / (1 - 0.8), rel=0.25)
    assert correlation_time(steps) < 1.2


def test_benjamini_and_hochberg_s_own_example() -> None:
    """Their table of fifteen p-values (1995): four are significant at 5 %."""
    p_values = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
        0.7590, 1.0,
    ]  # fmt: skip
    assert sum(significant(p_values, 0.05)) == 4
    assert significant([], 0.05) == []


@pytest.mark.parametrize(
    ("serving", "cause"),
    [
        (lambda values: values * 60, "unit"),
        (np.nan_to_num, "null-handling"),
        (lambda values: values + 40.0, "drift"),
    ],
)
def test_an_error_of_a_pipeline_shows_in_the_distribution(serving: Callable[[Any], Any], cause: str) -> None:
    values = RNG.lognormal(3, 1, 2000)
    values[:300] = np.nan
    other = RNG.lognormal(3, 1, 2000)
    other[:300] = np.nan
    assert sign("age", Values.of_numbers(values), Values.of_numbers(serving(other)))[0] == cause


def test_categories_that_training_never_has_are_told() -> None:
    a, b = Values.of_objects(["a", "b"] * 100), Values.of_objects(["A", "b"] * 100)
    cause, says = sign("shop", a, b)
    assert cause == "category-encoding"
    assert "such as A" in says


def test_a_feature_that_one_side_never_has_is_missing_for_certain() -> None:
    numbers, nothing = Values.of_numbers(RNG.normal(size=500)), Values.of_numbers(np.full(500, np.nan))
    for found in (measure(numbers, nothing, RNG), measure(nothing, numbers, RNG)):
        assert found is not None
        assert found.effect == 1.0
        assert found.p_value < 1e-9
        assert found.wasserstein is None
    neither = measure(nothing, nothing, RNG)
    assert neither is not None
    assert (neither.effect, neither.p_value) == (0.0, 1.0)


def test_more_missing_ones_are_told_where_that_is_the_larger_change() -> None:
    holes = np.where(np.arange(1000) % 5 == 0, np.nan, RNG.normal(size=1000))
    found = measure(Values.of_numbers(RNG.normal(size=1000)), Values.of_numbers(holes), RNG)
    assert found is not None
    assert found.measure == "share missing"
    assert found.effect == pytest.approx(0.2)
    assert found.p_value < 1e-6


def test_chi_square_of_categories_is_that_of_scipy_though_the_sides_differ_in_size() -> None:
    counts = np.array([[500, 300, 200], [150, 60, 40]])
    left, right = (Values.of_objects(RNG.permutation(np.repeat(["x", "y", "z"], side)).tolist()) for side in counts)
    found = measure(left, right, RNG)
    assert found is not None
    worth = np.array(found.effective) / counts.sum(axis=1)  # rows count for a little less than one
    table = counts * worth[:, None]
    assert found.chi_square_p == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    assert found.p_value == found.chi_square_p


def test_distances_are_the_same_in_both_directions_and_nothing_between_equals() -> None:
    left = Values.of_objects(RNG.permutation(["x"] * 600 + ["y"] * 400).tolist())
    right = Values.of_objects(RNG.permutation(["x"] * 300 + ["y"] * 500 + ["z"] * 200).tolist())
    there, back, same = measure(left, right, RNG), measure(right, left, RNG), measure(left, left, RNG)
    assert there is not None
    assert back is not None
    assert same is not None
    assert there.divergence == pytest.approx(back.divergence)
    assert there.psi == pytest.approx(back.psi)
    assert (same.effect, same.psi, same.divergence, same.chi_square_p) == (0.0, 0.0, 0.0, 1.0)


def test_psi_of_a_half_against_a_quarter() -> None:
    """(½ − ¼) ln 2 + (½ − ¾) ln ⅔: by hand."""
    left = Values.of_objects(RNG.permutation(["x"] * 20_000 + ["y"] * 20_000).tolist())
    right = Values.of_objects(RNG.permutation(["x"] * 10_000 + ["y"] * 30_000).tolist())
    found = measure(left, right, RNG)
    assert found is not None
    assert found.psi == pytest.approx(0.25 * np.log(2) - 0.25 * np.log(2 / 3), rel=0.001)


@pytest.mark.parametrize(("factor", "cause"), [(60.0, "unit"), (1 / 60, "unit"), (1.2, "drift"), (0.8, "drift")])
def test_a_factor_is_another_unit_if_it_is_large_either_way(factor: float, cause: str) -> None:
    left, right = (Values.of_numbers(RNG.lognormal(3, 1, 2000) * by) for by in (1.0, factor))
    found, says = sign("age", left, right)
    assert found == cause
    assert (says == "") is (cause == "drift")


def test_what_is_filled_in_is_named_and_what_is_lost_without_is_not() -> None:
    values = RNG.lognormal(3, 1, 1000)
    holes = np.where(np.arange(1000) < 200, np.nan, values)
    filled = Values.of_numbers(np.where(np.arange(1000) < 200, -1.0, values))
    assert sign("age", Values.of_numbers(holes), filled) == (
        "null-handling",
        "20% more are missing in training; in serving they seem to be -1",
    )
    assert sign("age", Values.of_numbers(values), Values.of_numbers(holes)) == (
        "null-handling",
        "20% more are missing in serving",
    )


def test_a_bin_that_one_side_never_has_is_less_than_a_row_to_psi() -> None:
    left = Values.of_objects(["x"] * 1000)
    right = Values.of_objects(RNG.permutation(["x"] * 900 + ["y"] * 100).tolist())
    found = measure(left, right, RNG)
    assert found is not None
    half = 0.5 / 1000
    assert found.psi == pytest.approx(0.1 * np.log((1 + half) / (0.9 + half)) - 0.1 * np.log(half / (0.1 + half)))


def test_one_row_on_each_side_is_worth_one_and_shows_nothing() -> None:
    one = Values.of_numbers(np.array([3.0]))
    found = measure(one, one, RNG)
    assert found is not None
    assert found.effective == (1.0, 1.0)
    assert (found.effect, found.bias, found.psi, found.psi_by_chance) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("memory", [0.3, 0.5, 0.7])
def test_the_correlation_time_is_that_of_an_autoregressive_process(memory: float) -> None:
    walk = signal.lfilter([1.0], [1.0, -memory], np.random.default_rng(8).normal(size=100_000))
    assert correlation_time(walk) == pytest.approx((1 + memory) / (1 - memory), rel=0.08)


def test_twenty_values_are_the_fewest_that_show_a_correlation() -> None:
    assert correlation_time(np.arange(19.0)) == 1.0
    assert correlation_time(np.arange(20.0)) > 3.0
    assert correlation_time(np.full(50, 2.0)) == 1.0


def test_zeros_hide_no_factor() -> None:
    left, right = (np.where(np.arange(2000) % 3 == 0, 0.0, RNG.lognormal(3, 1, 2000) * by) for by in (1.0, 60.0))
    assert sign("age", Values.of_numbers(left), Values.of_numbers(right))[0] == "unit"


@pytest.mark.parametrize(("distinct", "measure_of_it"), [(32, "total variation"), (33, "KS")])
def test_few_whole_numbers_are_categories(distinct: int, measure_of_it: str) -> None:
    left, right = (Values.of_numbers(RNG.permutation(np.arange(990) % distinct) * 1.0) for _ in range(2))
    found = measure(left, right, RNG)
    assert found is not None
    assert found.measure == measure_of_it


@pytest.mark.parametrize(("value", "worth"), [(1.0, 2000.0), (0.0, 2000.0), (0.5, 1 / 0.4**2)])
def test_whole_numbers_among_decimals_are_no_event_that_comes_again(value: float, worth: float) -> None:
    """Two in five are one value: probabilities at rest at a bound are many events, half a unit may be one."""
    rng = np.random.default_rng(4)
    values = Values.of_numbers(np.where(rng.random(2000) < 0.4, value, rng.random(2000)))
    found = measure(values, values, rng)
    assert found is not None
    assert found.effective[0] == pytest.approx(worth, rel=0.1)
