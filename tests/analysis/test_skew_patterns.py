"""Each kind of error is recognised from values alone, with the share of rows that it explains; and what only looks
like it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import constants

from proofload.analysis.skew_patterns import Pattern, affine, constant_factor, older, rounded, whole_hours

RNG = np.random.default_rng(11)
N = 400
AMOUNTS: NDArray[Any] = RNG.lognormal(3, 1, N)
FIRST = np.arange(N)
HOURS: NDArray[Any] = RNG.random(N) * 24
INSTANTS: NDArray[Any] = 1.7e9 + RNG.random(N) * 86_400 * 300


def explained(found: Pattern | None) -> float:
    return found.share if found else 0.0


@pytest.mark.parametrize(
    ("factor", "says"),
    [
        (60, "60 (minutes and hours"), (1 / 60, "1/60 (minutes and hours"), (100, "100 (cents"), (-1, "-1 ×"),
        (1.609344, "1.609 (miles"), (1 / 1.609344, "1/1.609 (miles"), (17.0, "17 ×"), (1.2, "1.2 ×"),
    ],
)  # fmt: skip
def test_a_constant_factor_is_told_by_its_name_if_it_has_one(factor: float, says: str) -> None:
    found = constant_factor(AMOUNTS, AMOUNTS * factor)
    assert found is not None
    assert (found.cause, found.share) == ("unit", 1.0)
    assert f"serving = {says}" in found.says


def test_a_factor_holds_though_values_were_rounded_after_and_some_rows_have_another_error() -> None:
    served = np.round(AMOUNTS * 100) * RNG.uniform(0.999, 1.001, N)
    served[:40] = AMOUNTS[:40] + 5
    found = constant_factor(AMOUNTS, served)
    assert found is not None
    assert found.share == pytest.approx(0.9, abs=0.02)
    assert "100 (cents" in found.says


def test_one_factor_for_each_currency_is_several_constants_told_by_frequency() -> None:
    factor = np.where(FIRST < 200, 0.9, np.where(FIRST < 320, 150.0, 1.25))
    found = constant_factor(AMOUNTS, AMOUNTS * factor)
    assert found is not None
    assert found.share == 1.0
    assert found.says == "serving = training × one of 3 constants (0.9, 150, 1.25)"


def test_the_few_ratios_of_small_whole_numbers_are_no_unit() -> None:
    counts = RNG.integers(1, 5, N).astype(float)
    assert constant_factor(counts, RNG.permutation(counts) + 1) is None


def test_values_that_scatter_about_no_factor_are_no_unit() -> None:
    assert constant_factor(AMOUNTS, AMOUNTS * RNG.normal(1.0, 0.002, N)) is None
    assert constant_factor(AMOUNTS, AMOUNTS * RNG.lognormal(0.0, 1.0, N)) is None


def test_a_factor_takes_three_different_values_and_no_zeros() -> None:
    assert constant_factor(np.array([2.0, 2.0, 4.0]), np.array([6.0, 6.0, 12.0])) is None
    assert constant_factor(np.array([2.0, 3.0, 4.0]), np.array([6.0, 9.0, 12.0])) is not None
    assert constant_factor(np.zeros(9), AMOUNTS[:9]) is None
    some_zero = np.where(FIRST < 100, 0.0, AMOUNTS)
    found = constant_factor(some_zero, some_zero * 60)
    assert found is not None
    assert found.share == 0.75


@pytest.mark.parametrize(
    ("slope", "offset", "says"),
    [
        (1.8, 32.0, "1.8 × training + 32"),
        (0.5, -3.0, "0.5 × training − 3"),
        (-2.0, 1.0, "-2 × training + 1"),
        (1.0, 273.15, "training + 273.1"),
        (1.0, -7.0, "training − 7"),
    ],
)
def test_a_line_is_told_with_its_slope_and_offset(slope: float, offset: float, says: str) -> None:
    values = RNG.normal(15, 8, N)
    found = affine(values, slope * values + offset)
    assert found is not None
    assert (found.cause, found.share) == ("unit", 1.0)
    assert found.says == f"serving = {says}"


def test_a_line_holds_for_most_distinct_values_or_is_none() -> None:
    values = RNG.normal(15, 8, N)
    strays = np.where(FIRST % 10 == 0, RNG.normal(40, 30, N), 1.8 * values + 32)
    found = affine(values, strays)
    assert found is not None
    assert found.share == pytest.approx(0.9, abs=0.02)
    assert affine(values, np.where(FIRST % 3 == 0, RNG.normal(40, 30, N), 1.8 * values + 32)) is None
    frequent = np.where(FIRST < 350, RNG.integers(0, 3, N), values)
    assert affine(frequent, np.where(FIRST < 350, 2 * frequent + 1, RNG.normal(0, 9, N))) is None


def test_a_default_few_values_or_no_change_are_no_line() -> None:
    values = RNG.normal(15, 8, N)
    assert affine(values, np.full(N, 3.0)) is None
    assert affine(values, values) is None
    nine, ten = (FIRST % distinct + np.zeros(N) for distinct in (9, 10))
    assert affine(nine, 2 * nine + 1) is None
    assert affine(ten, 2 * ten + 1) is not None


def test_an_hour_of_the_day_in_another_zone_is_off_modulo_24() -> None:
    found = whole_hours(HOURS, (HOURS + 20) % 24, "when")
    assert found is not None
    assert found.cause == "timezone"
    assert found.share == pytest.approx(1.0, abs=0.01)
    assert found.says == "serving is off by whole hours modulo 24 (-4 h)"


def test_summer_and_winter_are_two_shifts_and_half_hours_are_shifts_too() -> None:
    found = whole_hours(HOURS, (HOURS + np.where(FIRST < 250, 5.5, 6.5)) % 24, "hour")
    assert found is not None
    assert found.share == pytest.approx(1.0, abs=0.01)
    assert "(+5.5 h, +6.5 h)" in found.says


def test_whole_numbers_up_to_24_are_hours_only_by_name() -> None:
    counts = RNG.integers(0, 24, N).astype(float)
    shifted = (counts + 2) % 24
    assert whole_hours(counts, shifted, "purchases") is None
    assert whole_hours(counts, shifted, "pickup_hour") is not None


@pytest.mark.parametrize(("scale", "hours"), [(1.0, 2.0), (1.0, 0.25), (1e3, -7.0), (1e6, 5.5), (1e9, 9.0)])
def test_instants_are_off_by_hours_in_seconds_to_nanoseconds(scale: float, hours: float) -> None:
    found = whole_hours(INSTANTS * scale, (INSTANTS + hours * 3600) * scale, "x")
    assert found is not None
    assert found.share == pytest.approx(1.0)
    assert f"({hours:+g} h)" in found.says


def test_instants_off_by_more_than_the_zones_lie_apart_or_by_odd_minutes_are_none() -> None:
    assert whole_hours(INSTANTS, INSTANTS + 27 * 3600, "x") is None
    assert whole_hours(INSTANTS, INSTANTS + 26 * 3600, "x") is not None
    assert whole_hours(INSTANTS, INSTANTS + 2000, "x") is None
    assert whole_hours(INSTANTS, INSTANTS + RNG.random(N) * 7200, "x") is None


@pytest.mark.parametrize(
    ("name", "unit"), [("hours_since", 1.0), ("minutes_idle", 60.0), ("elapsed", 3600.0), ("days_since", 1 / 24)]
)
def test_durations_are_off_by_hours_in_any_unit(name: str, unit: float) -> None:
    hours = 30 + RNG.random(N) * 300
    found = whole_hours(hours * unit, (hours + 3) * unit, name)
    assert found is not None
    assert found.cause == "timezone"
    assert found.share == pytest.approx(1.0)
    assert "(+3 h)" in found.says


def test_a_share_of_shifted_rows_is_told_as_that_share_of_all() -> None:
    wanted = np.where(FIRST < 40, np.nan, INSTANTS)
    found = whole_hours(wanted, np.where(FIRST < 300, INSTANTS + 3600, INSTANTS + RNG.random(N) * 1e6), "x")
    assert found is not None
    assert found.share == pytest.approx(260 / 400)


def test_the_day_beside_is_a_zone_for_weekdays_alone() -> None:
    day = RNG.integers(0, 7, N).astype(float)
    found = whole_hours(day, (day + np.where(FIRST < 300, 1, 6)) % 7, "weekday")
    assert found is not None
    assert (found.cause, found.share) == ("timezone", 1.0)
    assert "the day beside" in found.says
    assert explained(whole_hours(day, (day + 2) % 7, "weekday")) == 0.0
    assert explained(whole_hours(day, (day + 1) % 7, "rooms")) == 0.0


def test_an_age_that_is_larger_by_no_constant_is_stale() -> None:
    age = RNG.random(N) * 100
    added = 50 + RNG.random(N) * 100
    found = older(age, age + added, "account_age")
    assert found is not None
    assert (found.cause, found.share) == ("staleness", 1.0)
    assert f"older in serving, by {np.median(added):.4g} in the median" in found.says


def test_an_age_by_one_constant_one_that_is_smaller_and_what_is_no_age_are_not_stale() -> None:
    age = RNG.random(N) * 100
    later = age + 50 + RNG.random(N) * 100
    assert older(age, age + 50 + RNG.random(N), "account_age") is None
    assert older(later, age, "account_age") is None
    assert older(age, np.where(FIRST % 10 == 0, age - 1, later), "account_age") is None
    assert older(age, later, "amount") is None
    assert older(age[:2], later[:2], "account_age") is None


@pytest.mark.parametrize(
    ("served", "says"),
    [
        (np.round(AMOUNTS, 2), "serving is rounded to 2 decimals"),
        (np.round(AMOUNTS, 1), "serving is rounded to 1 decimal"),
        (np.round(AMOUNTS), "serving is rounded to whole numbers"),
        (np.round(AMOUNTS, -1), "serving is rounded to steps of 10"),
        (np.floor(AMOUNTS), "serving is cut off to whole numbers"),
        (np.floor(AMOUNTS * 100) / 100, "serving is cut off to 2 decimals"),
        (np.ceil(AMOUNTS * 10) / 10, "serving is cut off to 1 decimal"),
        (np.array([float(f"{value:.2e}") for value in AMOUNTS]), "serving is rounded to 3 significant digits"),
        (AMOUNTS.astype(np.float16).astype(float), "serving is rounded to 16-bit floats"),
    ],
)
def test_the_coarser_side_is_told_with_how_it_was_rounded(served: NDArray[Any], says: str) -> None:
    found = rounded(AMOUNTS, served)
    assert found is not None
    assert found.cause == "rounding"
    assert found.share > 0.95
    assert found.says == says
    other = rounded(served, AMOUNTS)
    assert other is not None
    assert other.says == says.replace("serving", "training")


def test_numbers_cut_off_towards_zero_are_cut_off_on_both_sides_of_it() -> None:
    values = RNG.normal(0, 50, N)
    found = rounded(values, np.trunc(values))
    assert found is not None
    assert found.share > 0.95
    assert found.says == "serving is cut off to whole numbers"


def test_float32_on_the_coarse_side_does_not_hide_that_it_was_rounded() -> None:
    found = rounded(AMOUNTS, np.round(AMOUNTS, 2).astype(np.float32).astype(float))
    assert found is not None
    assert found.share > 0.95
    assert found.says == "serving is rounded to 2 decimals"


def test_part_of_the_rows_rounded_is_that_part_and_other_errors_are_not_rounding() -> None:
    found = rounded(AMOUNTS, np.where(FIRST < 300, np.round(AMOUNTS), AMOUNTS * 1.37))
    assert found is not None
    assert found.share == pytest.approx(0.75, abs=0.03)
    assert explained(rounded(AMOUNTS, AMOUNTS * 3.7 + 1000.123)) < 0.1
    assert rounded(np.full(9, 2.5), np.full(9, 2.0)) is None  # one value was rounded, or is another
    assert explained(rounded(AMOUNTS, np.zeros(N))) < 0.1  # a default is no rounding


@pytest.mark.parametrize(
    ("factor", "says"),
    [
        (constants.day / constants.hour, "hours and days"),
        (constants.hour / constants.minute, "minutes and hours"),
        (constants.hour, "seconds and hours"),
        (constants.day, "seconds and days"),
        (constants.day / constants.minute, "minutes and days"),
        (constants.week / constants.day, "days and weeks"),
        (constants.kilo, "thousands"),
        (constants.mega, "millions"),
        (constants.kibi, "binary thousands"),
        (constants.mile / constants.kilo, "miles and kilometres"),
        (1 / constants.pound, "kilograms and pounds"),
        (1 / constants.foot, "metres and feet"),
        (constants.inch / constants.centi, "inches and centimetres"),
        (1 / constants.degree, "degrees and radians"),
    ],
)
def test_known_units_have_the_factors_of_physics(factor: float, says: str) -> None:
    for by in (factor, 1 / factor):
        found = constant_factor(AMOUNTS, AMOUNTS * by)
        assert found is not None
        assert f"({says}" in found.says


def test_whole_minutes_are_shifted_by_hours_whatever_they_are_called() -> None:
    minutes = RNG.integers(31, 5000, N).astype(float)
    found = whole_hours(minutes, minutes + 180, "wait")
    assert found is not None
    assert "(+3 h)" in found.says
    quarters = np.round(minutes / 15) * 15
    assert whole_hours(quarters, quarters + 180, "wait") is None
    assert whole_hours(quarters, quarters + 180, "wait_minutes") is not None


def test_a_factor_of_most_rows_is_found_among_others_that_scatter() -> None:
    ratio = np.where(FIRST < 240, 0.5, RNG.uniform(1.5, 90.0, N))
    found = constant_factor(AMOUNTS, AMOUNTS * ratio)
    assert found is not None
    assert found.share == pytest.approx(0.6, abs=0.01)
    assert "0.5 × training" in found.says
