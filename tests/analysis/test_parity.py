"""What counts as the same value in two pipelines, and what does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from proofload.analysis.feature_values import Kind, Values, spread
from proofload.analysis.parity import compare, strata

RTOL = 1e-5


def differs(left: list[Any], right: list[Any]) -> list[bool]:
    found: list[bool] = compare(Values.of_objects(left), Values.of_objects(right), RTOL).any.tolist()
    return found


@pytest.mark.parametrize(
    ("left", "right"),
    [(None, float("nan")), (1, 1.0), (True, 1), (float("inf"), float("inf")), (0.1, 0.1 * (1 + 9e-6)), ("a", "a")],
)
def test_these_are_the_same(left: Any, right: Any) -> None:
    assert differs([left, 0.3, 17.25], [right, 0.3, 17.25]) == [False] * 3


@pytest.mark.parametrize(
    ("left", "right", "how"),
    [
        (None, 0, "null"), ("x", None, "null"), ("12", 12, "type"), (3, "three", "type"), ("a", "A", "value"),
        ("a", "a ", "value"), (1.5, 1.5003, "value"), (float("inf"), 1.0, "value"),
        (float("inf"), float("-inf"), "value"), (2, 3, "value"),
    ],
)  # fmt: skip
def test_these_are_not_and_it_is_said_how(left: Any, right: Any, how: str) -> None:
    found = compare(Values.of_objects([left, 1.25]), Values.of_objects([right, 1.25]), RTOL)
    assert getattr(found, how).tolist() == [True, False]
    assert found.any.sum() == 1


def test_float32_on_one_side_is_no_difference() -> None:
    exact = np.random.default_rng(1).lognormal(0, 4, 5000) * np.where(np.arange(5000) % 2, 1, -1)
    found = compare(Values.of_numbers(exact), Values.of_numbers(exact.astype(np.float32)), RTOL)
    assert not found.any.any()


def test_instants_are_compared_by_their_spread_not_their_size() -> None:
    """A relative 1e-5 of the seconds since 1970 is four hours."""
    instants = 1.75e9 + np.random.default_rng(1).random(500) * 86_400 * 365 * 5
    assert compare(Values.of_numbers(instants), Values.of_numbers(instants + 1800), RTOL).any.all()
    assert not compare(Values.of_numbers(instants), Values.of_numbers(instants + 0.001), RTOL).any.any()


def test_what_cancellation_leaves_near_zero_is_no_difference() -> None:
    scores = np.random.default_rng(1).normal(size=1000)
    found = compare(Values.of_numbers(scores), Values.of_numbers(scores + 1e-7), RTOL)
    assert not found.any.any()


def test_whole_numbers_must_be_equal() -> None:
    counts = np.arange(100_000.0, 101_000.0)
    assert compare(Values.of_numbers(counts), Values.of_numbers(counts + 1), RTOL).any.all()


def test_missing_rows_and_categories_are_strata_of_their_own() -> None:
    names = [part.name for part in strata(Values.of_objects(["a", "b", None, "a"]))]
    assert names == ["all rows", "rows missing in training", "rows with a", "rows with b"]
    many = strata(Values.of_numbers(np.random.default_rng(1).normal(size=500)))
    assert [part.name for part in many] == ["all rows"]


def test_numbers_too_large_for_a_float_are_infinite_and_nothing_breaks() -> None:
    values = Values.of_objects([10**400, -(10**400), [1, 2], {"a": 1}])
    assert values.kind.tolist() == [Kind.NUMBER, Kind.NUMBER, Kind.TEXT, Kind.TEXT]
    assert not compare(values, values, RTOL).any.any()


@pytest.mark.parametrize(("left", "right"), [(None, "x"), ("x", None), (None, 1), ("1", 1), ("x", "y"), (1, 2)])
def test_a_difference_is_of_one_kind(left: Any, right: Any) -> None:
    found = compare(Values.of_objects([left]), Values.of_objects([right]), RTOL)
    assert int(found.null[0]) + int(found.type[0]) + int(found.value[0]) == 1


def test_what_is_usual_for_a_feature_is_its_middle_half_or_the_next_best() -> None:
    assert spread(np.arange(101.0)) == 50.0
    assert spread(np.array([3.0] * 9 + [13.0])) == pytest.approx(3.0)  # the standard deviation
    assert spread(np.full(5, -7.0)) == 7.0
    assert spread(np.zeros(5)) == 1.0
    assert spread(np.array([np.nan, np.inf])) == 1.0
    assert spread(np.array([1.0, np.nan, 3.0, np.inf])) == 1.0


@pytest.mark.parametrize(("categories", "told"), [(1, False), (2, True), (64, True), (65, False)])
@pytest.mark.parametrize("words", [False, True])
def test_two_to_sixty_four_values_are_strata(categories: int, told: bool, words: bool) -> None:
    codes = [row % categories for row in range(260)]
    found = strata(Values.of_objects([f"w{code}" for code in codes] if words else codes))
    assert len(found) == (1 + categories if told else 1)
    if told:
        assert found[1].rows.tolist() == [code == 0 for code in codes]


def test_whole_numbers_beyond_float32_may_be_off_by_its_last_place() -> None:
    large = np.array([2.0**24 + 2, 2.0**30, 5.0])
    assert not compare(Values.of_numbers(large), Values.of_numbers(large.astype(np.float32)), RTOL).any.any()
    for size, same in ((2.0**24 - 1, False), (2.0**26, True)):
        pair = np.array([size, 4.0])
        other = pair + np.array([1.0, 0.0])
        assert compare(Values.of_numbers(pair), Values.of_numbers(other), RTOL).any.tolist() == [not same, False]


def test_numbers_may_differ_by_the_relative_tolerance_and_no_more() -> None:
    values = np.random.default_rng(2).uniform(0.5, 100.0, 400)
    assert not compare(Values.of_numbers(values), Values.of_numbers(values * (1 + 0.9e-3)), 1e-3).any.any()
    assert compare(Values.of_numbers(values), Values.of_numbers(values * (1 + 1.1e-3)), 1e-3).any.all()
    assert not compare(Values.of_numbers(values * (1 + 0.9e-3)), Values.of_numbers(values), 1e-3).any.any()


def test_without_a_tolerance_float32_is_still_no_difference() -> None:
    exact = np.random.default_rng(3).uniform(100.0, 104.0, 300)
    assert not compare(Values.of_numbers(exact), Values.of_numbers(exact.astype(np.float32)), 0.0).any.any()
    assert compare(Values.of_numbers(exact), Values.of_numbers(exact * (1 + 1e-6)), 0.0).any.all()


def test_numbers_too_large_keep_their_sign() -> None:
    values = Values.of_objects([10**400, -(10**400)])
    assert values.number.tolist() == [float("inf"), float("-inf")]
