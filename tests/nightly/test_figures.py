"""What is followed of a result: also, and above all, of one that collapsed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proofload.nightly.figures import LEAST_GOODPUT, Figure, Typical, figures_of
from proofload.records import Capacity, Check, Interval, Result, Status
from proofload.testing.synthetic_nights import Made, a_cell, result_of


def followed(result: Result) -> list[tuple[str, float, str]]:
    return [(figure.name, figure.value, figure.bound) for figure in figures_of(result)]


def at_peak(observed: float | None) -> Result:
    check = Check("goodput_at_peak", Status.FAIL, observed, 0.7, "ratio", Interval(observed, observed), "made up")
    return replace(result_of(a_cell(), Made()), procedure="peak-10x", checks=(check,))


def searched(rate: float | None, low: float | None, high: float | None, **others: Any) -> Result:
    found = Capacity(rate, Interval(low, high), steps=(), knee_rps=None, **{"confirmed": rate is not None, **others})
    return replace(result_of(a_cell(), Made()), procedure="capacity", capacity=found)


def started(*ready_s: float | None) -> Result:
    lives = [{"ready_s": seconds} for seconds in ready_s]
    return replace(result_of(a_cell(), Made()), procedure="cold-start", details={"lives": lives})


def test_a_percentile_among_the_timeouts_counts_as_their_length() -> None:
    assert followed(result_of(a_cell(), Made(p99_ms=5000.0, censored=True))) == [
        ("p50", 1250.0, ""),
        ("p99", 5000.0, "at least"),
    ]


@pytest.mark.parametrize(("observed", "value", "bound"), [
    (0.8, 0.8, ""), (LEAST_GOODPUT, LEAST_GOODPUT, ""), (0.004, LEAST_GOODPUT, "at most"),
    (0.0, LEAST_GOODPUT, "at most"),
])  # fmt: skip
def test_no_goodput_at_the_peak_is_a_figure(observed: float, value: float, bound: str) -> None:
    assert followed(at_peak(observed)) == [("goodput at peak", value, bound)]


def test_goodput_that_was_not_measured_is_none() -> None:
    assert followed(at_peak(None)) == []


@pytest.mark.parametrize(("result", "told"), [
    (searched(900.0, 900.0, 950.0), [("capacity", 900.0, "")]),
    (searched(None, None, 3.2), [("capacity", 3.2, "at most")]),
    (searched(900.0, None, 950.0, confirmed=False), []),
    (searched(None, None, None), []),
    (searched(20_000.0, 20_000.0, None, censored="max_rate"), [("capacity", 20_000.0, "at least")]),
    (searched(700.0, 700.0, None, censored="client"), []),
])  # fmt: skip
def test_a_search_that_finds_nothing_has_the_rate_that_broke_it(
    result: Result, told: list[tuple[str, float, str]]
) -> None:
    assert followed(result) == told


@pytest.mark.parametrize(("ready", "told"), [
    ((1.0, 2.0, 3.0), [2.0]), ((1.0, 2.0, None), [2.0]), ((1.0, None, None), []), ((), []),
])  # fmt: skip
def test_a_start_that_never_was_ready_is_not_left_out(ready: tuple[float | None, ...], told: list[float]) -> None:
    assert [figure.value for figure in figures_of(started(*ready))] == told


def test_an_invalid_result_has_no_figures() -> None:
    assert figures_of(replace(at_peak(0.0), status=Status.INVALID)) == ()


def test_what_is_typical_is_a_bound_where_its_middle_is_one() -> None:
    figures = [Figure("p99", value, None, None, "ms", high_is_worse=True) for value in (40.0, 50.0)]
    timeouts = [Figure("p99", 5000.0, None, None, "ms", high_is_worse=True, bound="at least")] * 3
    for of, value, bound in ((figures + timeouts, 5000.0, "at least"), (figures + timeouts[:1], 50.0, "")):
        found = Typical.of(of)
        assert found.value == pytest.approx(value)
        assert (found.nights, found.bound) == (len(of), bound)
