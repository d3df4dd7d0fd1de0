"""Targets are ordered only where their intervals allow it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from proofload.records import Interval, Result, Status
from proofload.report.ranking import compare


@pytest.fixture
def at(make_run: Callable[..., Any]) -> Callable[..., Result]:
    base: Result = make_run("flask").result

    def make(name: str, rate: float, low: float | None, high: float | None, **changes: Any) -> Result:
        assert base.capacity is not None
        found = dataclasses.replace(base.capacity, rate_rps=rate, interval=Interval(low, high))
        return dataclasses.replace(base, target={"name": name}, capacity=found, cost=None, **changes)

    return make


def test_clear_intervals_are_ordered_with_the_factor(at: Callable[..., Result]) -> None:
    first = compare([at("flask", 600, 580, 620), at("grpc", 1200, 1150, 1260)])[0]
    assert first.startswith("grpc holds the most within p99 ≤ 120 ms and ≥ 90 % ok: 1,200 (1,150–1,260) requests/s")
    assert "2.00 × flask's" in first
    assert "Behind: flask 600 (580–620) requests/s." in first


def test_overlapping_intervals_are_not_ordered(at: Callable[..., Result]) -> None:
    first = compare([at("flask", 600, 580, 620), at("grpc", 610, 590, 640), at("kafka", 300, 290, 310)])[0]
    assert "grpc and flask hold the most" in first
    assert "overlap, so this does not order them" in first
    assert "Behind: kafka" in first


def test_those_behind_are_not_ordered_either_when_they_overlap(at: Callable[..., Result]) -> None:
    first = compare([at("a", 1000, 990, 1010), at("b", 600, 580, 620), at("c", 590, 570, 610)])[0]
    assert "b 600 (580–620) requests/s; c 590 (570–610) requests/s, not told apart from the one before" in first


def test_an_unknown_interval_orders_nothing(at: Callable[..., Result]) -> None:
    assert "does not order them" in compare([at("a", 1000, None, None), at("b", 10, 9, 11)])[0]


def test_invalid_and_inconclusive_runs_are_left_out_by_name(at: Callable[..., Result]) -> None:
    text = " ".join(
        compare(
            [
                at("good", 600, 580, 620),
                at("odd", 9000, 8900, 9100, status=Status.INVALID),
                at("dim", 8000, 7900, 8100, status=Status.INCONCLUSIVE),
            ]
        )
    )
    assert text.startswith("Only good has a confirmed rate")
    assert "Not ranked: odd (invalid measurement) and dim (inconclusive)." in text
    assert "9,000" not in text


def test_different_limits_or_procedures_are_not_compared(at: Callable[..., Result]) -> None:
    one, other = at("a", 600, 580, 620), at("b", 900, 880, 920)
    looser = dataclasses.replace(other, checks=(dataclasses.replace(other.checks[0], limit=500),))
    assert compare([one, looser])[0].startswith("Not ranked: the runs were held to different limits")
    failed = dataclasses.replace(other, procedure="load", status=Status.FAIL)
    assert compare([one, failed]) == ("1 of 2 runs passed; failed: b.",)


def test_load_runs_are_ranked_by_p99(make_run: Callable[..., Any]) -> None:
    fast = make_run("fast", procedure="load", service_ms=2).result
    slow = make_run("slow", procedure="load", service_ms=5).result
    text = compare([slow, fast])
    assert text[0] == "All 2 targets hold their rate within p99 ≤ 120 ms and ≥ 90 % ok."
    assert text[1].startswith("fast has the lowest p99")


def test_one_run_is_not_compared_and_two_carry_the_caveat(at: Callable[..., Result]) -> None:
    assert compare([at("a", 1, 1, 1)]) == ()
    assert "interleaved lifetimes" in compare([at("a", 1, 1, 1), at("b", 3, 3, 3)])[-1]
