"""Numbers are read by people who decide: rounding may never change what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proofload.records import Interval, Quantile
from proofload.report import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1237.2, "1,240"),
        (9.996, "10.0"),
        (0.083, "0.0830"),
        (0, "0"),
        (41.23, "41.2"),
        (999.6, "1,000"),
        (-3.14159, "−3.14"),
        (1_234_567, "1,230,000"),
        (2e-7, "0.000000200"),
        (3.48e-23, "0"),
        (None, "n/a"),
        (float("nan"), "n/a"),
        (float("inf"), "n/a"),
    ],
)
def test_three_significant_figures_without_exponents(value: float | None, text: str) -> None:
    assert numbers.significant(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1499.7, "1,500"), (1.6, "1.6"), (0.0644, "0.0644"), (5.0, "5"), (12_345.6, "12,300"), (0.0, "0"), (None, "n/a")],
)
def test_a_number_in_a_sentence_has_no_trailing_zeros_and_no_exponent(value: float | None, text: str) -> None:
    assert numbers.short(value) == text


@given(st.floats(-1e15, 1e15))
def test_no_number_for_people_has_an_exponent(value: float) -> None:
    told = [numbers.significant(value), numbers.short(value), numbers.plain(value), numbers.share(value)]
    assert not any("e" in text for text in told)


def test_a_chance_next_to_nothing_is_told_as_a_bound() -> None:
    assert [numbers.chance(value) for value in (0.0213, 3e-12, None)] == ["0.021", "< 0.0001", "n/a"]


def test_a_failure_just_over_its_limit_never_looks_like_a_pass() -> None:
    assert numbers.against(50.02, 50) == "50.02"
    assert numbers.against(49.9996, 50) == "49.9996"
    assert numbers.against(81.04, 50) == "81.0"
    assert numbers.against(50.0, 50) == "50.0"


@given(st.floats(1e-3, 1e6), st.floats(1e-3, 1e6))
def test_rounding_keeps_every_value_on_its_side_of_the_limit(value: float, limit: float) -> None:
    shown = float(numbers.against(value, limit).replace(",", ""))
    if abs(value - limit) > 1e-8 * limit:
        assert (shown < limit) == (value < limit)
        assert (shown > limit) == (value > limit)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "100 %"),
        (0.0, "0 %"),
        (0.99987, "99.987 %"),
        (0.999, "99.90 %"),
        (0.5, "50.0 %"),
        (0.00012, "0.0120 %"),
        (3.48e-25, "0 %"),
        (None, "n/a"),
    ],
)
def test_a_share_near_one_keeps_the_digits_that_matter(value: float | None, text: str) -> None:
    assert numbers.share(value) == text


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_a_share_is_called_all_or_nothing_only_when_it_is(value: float) -> None:
    if 1e-7 < value < 1 - 1e-8:
        assert numbers.share(value) not in {"100 %", "0 %"}


def test_money_shows_cents_or_three_figures() -> None:
    assert numbers.money(0.831, "USD") == "$0.83"
    assert numbers.money(0.0432, "usd") == "$0.0432"
    assert numbers.money(12.4, "EUR") == "€12.40"
    assert numbers.money(1234.0, "CHF") == "1,230 CHF"
    assert numbers.money_interval(Interval(0.79, 0.88), "USD") == "0.79–0.88"
    assert numbers.money_range(Interval(219, 350), "USD") == "$219–350"
    assert numbers.money_range(Interval(219, None), "CHF") == "≥ 219 CHF"


def test_an_interval_says_which_ends_are_known() -> None:
    assert numbers.interval(Interval(1180, 1290)) == "1,180–1,290"
    assert numbers.interval(Interval(1180, None)) == "≥ 1,180"
    assert numbers.interval(Interval(None, 1290)) == "≤ 1,290"
    assert numbers.interval(Interval(None, None)) == "n/a"
    assert numbers.interval(Interval(-0.145, -0.0628)) == "−0.145 to −0.0628"


def test_an_unsupported_percentile_says_what_it_needs_and_a_censored_one_is_a_bound() -> None:
    nothing = Interval(None, None)
    assert numbers.quantile(Quantile(0.999, None, nothing, needs=12_000)) == "n/a (needs 12,000 samples)"
    assert numbers.quantile(Quantile(0.99, 5000.0, nothing, censored=True)) == "≥ 5,000"
    assert numbers.quantile(None) == "n/a"


def test_decimal_points_stand_in_one_column() -> None:
    column = numbers.align(["1,240", "41.2", "0.0830", "n/a (needs 12,000 samples)"])
    right_of_point = [len(cell) - max(cell.find("."), cell.find(numbers.POINT_SPACE)) for cell in column[:3]]
    assert len(set(right_of_point)) == 1
    assert column[3] == "n/a (needs 12,000 samples)"
    assert [cell.rstrip(numbers.POINT_SPACE + numbers.FIGURE_SPACE) for cell in column[:3]] == [
        "1,240",
        "41.2",
        "0.0830",
    ]


def test_dashes_of_ranges_stand_in_one_column() -> None:
    column = numbers.align(["1,180–1,290", "665–728", "n/a"])
    assert {len(cell) - cell.index("–") for cell in column[:2]} == {6}


def test_a_column_of_different_units_is_left_alone() -> None:
    assert numbers.align(["54.8 ms", "99.948 %"]) == ("54.8 ms", "99.948 %")
    assert numbers.unit_of(["54.8 ms", "n/a", "7 ms"]) == "ms"
    assert numbers.unit_of(["54.8 ms", "7 s"]) == ""
    assert numbers.unit_of(["98 %", "n/a (needs 2,000 samples)"]) == "%"
    assert numbers.unit_of(["0–0.531 %", "−6.60 to −2.77 %"]) == "%"
    assert numbers.unit_of(["0–0.531 %", "−0.0341 to 0.0104"]) == "", "a range without a unit is of none"
    assert numbers.unit_of(["98 %", "2.50 threads", "19,900 e-value"]) == "", "a unit may be a word"
    assert numbers.align(["98 %", "2.50 threads"]) == ("98 %", "2.50 threads")


@pytest.mark.parametrize(
    ("value", "text"), [(0.25, "250 ms"), (12.0, "12.0 s"), (150, "2 min 30 s"), (7500, "2 h 5 min"), (None, "n/a")]
)
def test_lengths_of_time_are_said_in_the_units_people_use(value: float | None, text: str) -> None:
    assert numbers.seconds(value) == text
