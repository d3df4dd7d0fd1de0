"""Percentiles: exact values, and intervals that cover what they claim on correlated data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from proofload.analysis.effective import design_effect
from proofload.analysis.percentiles import LEVELS, distribution, rank_bounds

MS = 1_000_000
SPEED = 1000.0  # service times have mean 1, in milliseconds


def queue(rng: np.random.Generator, load: float, n: int) -> NDArray[np.int64]:
    """Sojourn times of an M/M/1 queue in steady state, in order of arrival, by Lindley's recursion."""
    burn = 10_000
    between = rng.exponential(1.0 / load, n + burn)
    service = rng.exponential(1.0, n + burn)
    walk = np.concatenate(([0.0], np.cumsum(service[:-1] - between[1:])))
    waits = walk - np.minimum.accumulate(walk)
    return np.asarray((waits + service)[burn:] * MS, dtype=np.int64)


def queue_quantile_ms(q: float, load: float) -> float:
    return -math.log(1.0 - q) / (1.0 - load)


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=400), st.integers(1, 60))
def test_values_are_samples_monotone_and_never_above_the_maximum(values: list[int], repeat: int) -> None:
    durations = np.array(values * repeat, dtype=np.int64)
    summary = distribution(durations)
    shown = [quantile.value for quantile in summary.quantiles.values() if quantile.value is not None]
    assert shown == sorted(shown)
    assert summary.max_ms == max(values) / MS
    for value in shown:
        assert value <= summary.max_ms
        assert round(value * MS) in values
    for quantile in summary.quantiles.values():
        low, high = quantile.interval.low, quantile.interval.high
        if quantile.value is None:
            assert (low, high) == (None, None)
            assert quantile.needs is not None
            assert quantile.needs > len(durations) or quantile.q > 0
        else:
            assert low is None or low <= quantile.value
            assert high is None or high >= quantile.value


def test_percentiles_are_nearest_rank() -> None:
    durations = np.random.default_rng(1).permutation(np.arange(1, 200_001)).astype(np.int64) * MS
    quantiles = distribution(durations).quantiles
    assert {name: quantile.value for name, quantile in quantiles.items()} == {
        "p50": 100_000,
        "p90": 180_000,
        "p95": 190_000,
        "p99": 198_000,
        "p99_9": 199_800,
        "p99_99": 199_980,
    }


@pytest.mark.parametrize(
    ("n", "last"), [(39, ""), (40, "p50"), (199, "p50"), (200, "p90"), (2000, "p99"), (20000, "p99_9")]
)
def test_a_percentile_needs_twenty_samples_above_it(n: int, last: str) -> None:
    durations = np.random.default_rng(2).permutation(n).astype(np.int64) + MS
    quantiles = distribution(durations).quantiles
    supported = [name for name, quantile in quantiles.items() if quantile.value is not None]
    assert (supported[-1] if supported else "") == last
    for level in LEVELS:
        if level.name not in supported:
            needs = quantiles[level.name].needs
            assert needs is not None
            assert needs > n


def test_a_tail_that_is_one_episode_supports_no_percentile() -> None:
    durations = np.full(4000, 1 * MS, dtype=np.int64) + np.arange(4000) % 7
    durations[3000:] = 80 * MS  # the last quarter is one slow stretch
    p99 = distribution(durations).quantiles["p99"]
    assert p99.value is None
    assert p99.needs is not None
    assert p99.needs > 4000


def test_no_samples_give_no_numbers() -> None:
    summary = distribution(np.zeros(0, dtype=np.int64))
    assert summary.n == 0
    assert summary.max_ms is None
    assert all(quantile.value is None for quantile in summary.quantiles.values())


def test_a_percentile_among_timeouts_is_censored_and_its_interval_open() -> None:
    durations = np.random.default_rng(3).integers(MS, 10 * MS, 20_000)
    gave_up = np.zeros(20_000, dtype=np.bool_)
    gave_up[::50] = True  # 2 % of all
    durations[gave_up] = 5000 * MS
    quantiles = distribution(durations, censored=gave_up).quantiles
    assert not quantiles["p95"].censored
    assert quantiles["p95"].interval.high is not None
    assert quantiles["p99"].censored
    assert quantiles["p99"].value == 5000.0
    assert quantiles["p99"].interval.high is None


def test_a_freeze_of_one_second_in_ten_is_reported_as_theory_has_it() -> None:
    rate, seconds = 1000, 60
    due = np.arange(rate * seconds) / rate
    into = (due - 3.3) % 10.0
    latency = np.random.default_rng(4).lognormal(0, 0.3, len(due)) * 1e-3 + np.where(into < 1.0, 1.0 - into, 0.0)
    quantiles = distribution((latency * 1e9).astype(np.int64)).quantiles
    for name, truth in (("p95", 500.0), ("p99", 900.0)):
        assert quantiles[name].value == pytest.approx(truth, rel=0.01)
        low = quantiles[name].interval.low
        assert low is not None
        assert low < truth


def test_a_median_that_wanders_by_microseconds_hides_no_tail() -> None:
    due = np.arange(30_000) / 1000
    into = (due - 3.3) % 10.0
    base = 3e-4 + 3e-5 * np.sin(due / 5) + np.random.default_rng(5).exponential(5e-5, len(due))
    latency = base + np.where(into < 1.0, 1.0 - into, 0.0)
    p99 = distribution((latency * 1e9).astype(np.int64)).quantiles["p99"]
    assert p99.value == pytest.approx(900.0, rel=0.01)
    assert p99.interval.high is None


@pytest.mark.parametrize(
    ("load", "n", "repeats", "least"),
    [(0.8, 100_000, 150, 0.95), (0.9, 20_000, 200, 0.95), (0.5, 20_000, 200, 0.97)],
)
def test_the_interval_of_p99_covers_the_truth_in_a_queue(load: float, n: int, repeats: int, least: float) -> None:
    rng = np.random.default_rng(20)
    truth = queue_quantile_ms(0.99, load)
    shown = covered = 0
    for _ in range(repeats):
        p99 = distribution(queue(rng, load, n)).quantiles["p99"]
        if p99.value is None:
            continue
        shown += 1
        low, high = p99.interval.low, p99.interval.high
        covered += (low is None or low <= truth) and (high is None or truth <= high)
    assert shown >= repeats / 4
    assert covered / shown >= least


def test_intervals_of_independent_samples_cover_and_are_narrow() -> None:
    rng = np.random.default_rng(21)
    covered = {"p50": 0, "p99": 0}
    truth = {"p50": 1.0, "p99": math.exp(2.3263479)}
    widths = []
    for _ in range(300):
        quantiles = distribution((rng.lognormal(0, 1, 10_000) * MS).astype(np.int64)).quantiles
        for name, value in truth.items():
            low, high = quantiles[name].interval.low, quantiles[name].interval.high
            assert low is not None
            assert high is not None
            covered[name] += low <= value <= high
            widths.append(high / low)
    assert min(covered.values()) >= 0.97 * 300
    assert np.median(widths) < 1.4


def test_autoregressive_latencies_do_not_fool_the_interval() -> None:
    rng = np.random.default_rng(22)
    n, phi, repeats, covered = 20_000, 0.9, 120, 0
    for _ in range(repeats):
        noise = rng.normal(0, math.sqrt(1 - phi**2), (n // 400, 400))
        state = rng.normal(size=n // 400)
        columns = np.empty_like(noise)
        for step in range(400):  # 50 chains side by side, laid end to end: correlation within each
            state = phi * state + noise[:, step]
            columns[:, step] = state
        p99 = distribution((np.exp(columns.ravel()) * MS).astype(np.int64)).quantiles["p99"]
        low, high = p99.interval.low, p99.interval.high
        covered += p99.value is not None and low is not None and low <= math.exp(2.3263479) <= (high or math.inf)
    assert covered >= 0.96 * repeats


def test_what_exceeds_a_percentile_in_one_spell_is_worth_one() -> None:
    rising = np.arange(1, 1001) * MS
    shown = distribution(rising).quantiles
    assert shown["p50"].value == 500.0
    assert shown["p90"].value is None  # a hundred above it, all at the end
    assert shown["p90"].needs is not None
    assert shown["p90"].needs > 1000


def test_five_independent_samples_bound_no_median_and_no_tail() -> None:
    assert rank_bounds(100, 0.5, 16.0, 0.99) == (None, None)
    low, high = rank_bounds(100, 0.5, 1.0, 0.99)
    assert low is not None
    assert high is not None
    assert 30 <= low < 50 < high <= 70
    assert rank_bounds(1000, 0.999, 1.0, 0.99)[1] is None


def test_what_is_not_shown_says_how_many_samples_it_takes() -> None:
    for few in (distribution(np.zeros(0, np.int64)), distribution(np.random.default_rng(3).permutation(30) + MS)):
        needs = {name: quantile.needs for name, quantile in few.quantiles.items()}
        assert needs == {"p50": 40, "p90": 200, "p95": 400, "p99": 2000, "p99_9": 20_000, "p99_99": 200_000}


def test_the_interval_lies_between_the_order_statistics_of_its_ranks() -> None:
    durations = np.random.default_rng(4).permutation(np.arange(1, 5001)).astype(np.int64) * MS
    found = distribution(durations).quantiles["p50"]
    effect = design_effect(durations > 2500 * MS)
    assert (found.interval.low, found.interval.high) == rank_bounds(5000, 0.5, effect, 0.99)
    censored = durations >= 2550 * MS
    assert distribution(durations, censored=censored).quantiles["p50"].value == 2500.0
    assert distribution(durations, censored=censored).quantiles["p50"].interval.high is None
