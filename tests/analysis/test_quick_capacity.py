"""The bursts that say about how much a target can serve."""

from __future__ import annotations

import numpy as np
import pytest

from proofload.analysis.quick_capacity import Burst, burst_of, estimate, is_bound, next_rate
from proofload.records import SAMPLE_DTYPE, Outcome, Samples


def searched(capacity: float, first: float, *, most: float = 10_000.0, collapse: bool = False) -> list[Burst]:
    tried: list[Burst] = []
    while (rate := next_rate(tried, first_rps=first, max_rps=most)) is not None:
        beyond = rate > 1.05 * capacity
        served = capacity * (capacity / rate if collapse else 1.0) if beyond else rate
        tried.append(Burst(rate, served))
    return tried


@pytest.mark.parametrize("capacity", [3.0, 26.0, 240.0, 5000.0])
@pytest.mark.parametrize("first", [8.0, 54.0, 700.0])
@pytest.mark.parametrize("collapse", [False, True])
def test_the_estimate_is_within_a_fifth_in_few_bursts(capacity: float, first: float, collapse: bool) -> None:
    tried = searched(capacity, first, collapse=collapse)
    assert len(tried) <= 7
    found = estimate(tried)
    assert found is not None
    assert 0.3 * capacity <= found <= 1.2 * capacity
    if not collapse:
        assert found == pytest.approx(capacity, rel=0.2)
        assert not is_bound(tried)


def test_a_target_that_keeps_up_with_all_is_bounded_by_the_highest_rate() -> None:
    tried = searched(1e9, 50.0, most=2000.0)
    assert estimate(tried) == 2000.0
    assert is_bound(tried)


def test_a_target_that_serves_nothing_has_no_capacity() -> None:
    tried: list[Burst] = []
    while (rate := next_rate(tried, first_rps=50.0, max_rps=2000.0)) is not None:
        tried.append(Burst(rate, 0.0))
    assert len(tried) == 2
    assert estimate(tried) is None


def test_a_burst_counts_what_was_drained_after_it() -> None:
    rows = np.zeros(60, dtype=SAMPLE_DTYPE)
    rows["intended_ns"] = np.arange(60) * 20_000_000
    rows["done_ns"] = (np.arange(60) + 1) * 40_000_000
    rows["outcome"] = np.where(rows["done_ns"] - rows["intended_ns"] < 10**9, Outcome.OK, Outcome.TIMEOUT)
    burst = burst_of(Samples(rows), 50.0)
    assert burst.goodput_rps == pytest.approx(25.0, rel=0.05)
    assert not burst.kept_up


def test_nothing_is_asked_beyond_the_most_that_may_be() -> None:
    assert next_rate([], first_rps=50.0, max_rps=20.0) == 20.0
    assert next_rate([Burst(900.0, 900.0)], first_rps=50.0, max_rps=2000.0) == 2000.0
    assert next_rate([Burst(2500.0, 2500.0)], first_rps=50.0, max_rps=2000.0) is None


@pytest.mark.parametrize(
    ("ok", "seconds", "goodput"),
    [(100, 1.0, 100.0), (98, 1.0, 100.0), (97, 1.0, 97.0), (100, 1.25, 100.0), (100, 1.26, 100 / 1.26), (0, 1.0, 0.0)],
)
def test_a_rate_is_met_by_nearly_all_answers_in_nearly_the_time(ok: int, seconds: float, goodput: float) -> None:
    rows = np.zeros(100, dtype=SAMPLE_DTYPE)
    rows["intended_ns"] = 7_000_000_000 + np.arange(100) * 10_000_000
    rows["outcome"] = np.where(np.arange(100) < ok, Outcome.OK, Outcome.ERROR)
    rows["done_ns"] = rows["intended_ns"]
    rows["done_ns"][max(0, ok - 1)] = 7_000_000_000 + round(seconds * 1e9)
    rows["done_ns"][99] = max(rows["done_ns"][99], 7_000_000_000 + round(seconds * 1e9))
    assert burst_of(Samples(rows), 100.0).goodput_rps == pytest.approx(goodput)


def test_the_search_goes_four_times_further_and_back_between() -> None:
    def following(*tried: Burst) -> float | None:
        return next_rate(tried, first_rps=50.0, max_rps=10_000.0)

    kept = Burst(50.0, 50.0)
    assert following(kept) == 200.0
    assert following(kept, Burst(200.0, 120.0)) is None  # not far beyond what was served
    assert following(kept, Burst(200.0, 80.0)) == 120.0
    assert following(Burst(200.0, 0.0)) == 25.0
    assert following(Burst(900.0, 10.0), Burst(50.0, 50.0)) == 200.0
    assert following(Burst(300.0, 10.0), Burst(50.0, 50.0)) == pytest.approx(np.sqrt(50.0 * 300.0))
    assert following(Burst(149.0, 10.0), Burst(50.0, 50.0)) is None
    assert following(*[kept] * 8) is None
    assert Burst(100.0, 90.0).kept_up
    assert not Burst(100.0, 89.9).kept_up


def test_little_is_more_than_nothing() -> None:
    assert estimate([Burst(2.0, 0.5), Burst(1.0, 0.25)]) == 0.5
    assert not is_bound([])
