"""Slopes from block means, steps, cycles, and what growth is owed to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from proofload.analysis.attribution import Stretch, attribute
from proofload.analysis.cycles import cycles
from proofload.analysis.smallest import smallest_found
from proofload.analysis.trend import (
    Column,
    Slope,
    block_means,
    calmed,
    deepest_fall,
    settled,
    slope,
    stepless,
    widest_gap,
)

T: Column = np.linspace(0.0, 39.5, 80)


def test_a_straight_line_has_its_slope_with_bounds_that_meet() -> None:
    found = slope(*block_means(T, 3.0 + 2.0 * T), alpha_low=0.001, alpha_high=0.01)
    assert (found.low, found.value, found.high) == pytest.approx((2.0, 2.0, 2.0))


def test_bounds_hold_the_true_slope_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    below = above = 0
    for _ in range(2000):
        found = slope(*block_means(T, rng.normal(0.0, 1.0, len(T))), alpha_low=0.05, alpha_high=0.01)
        below += found.low > 0.0
        above += found.high < 0.0
    assert below <= 0.065 * 2000
    assert above <= 0.016 * 2000


def test_too_few_points_have_no_bounds() -> None:
    found = slope(T[:3], T[:3], alpha_low=0.001, alpha_high=0.001)
    assert (found.low, found.high) == (-np.inf, np.inf)
    assert slope(T[:1], T[:1], alpha_low=0.1, alpha_high=0.1).value == 0.0


def test_one_outlier_does_not_tilt_the_slope() -> None:
    values = 2.0 * T
    values[40] += 1000.0
    assert slope(T, values, alpha_low=0.01, alpha_high=0.01).value == pytest.approx(2.0, rel=0.01)


def test_settling_leaves_the_first_quarter_of_the_time_out() -> None:
    t, y = settled(T, T)
    assert t[0] == pytest.approx(10.0, abs=0.5)
    assert len(t) == len(y)
    assert not len(settled(T[:0], T[:0])[0])


def test_a_step_is_taken_out_and_a_gap_in_the_readings_is_none() -> None:
    rng = np.random.default_rng(2)
    values = 1.0 * T + rng.normal(0.0, 0.05, len(T)) + 50.0 * (T > 20.0)
    found = stepless(T, values)
    assert found.steps == pytest.approx([50.0], rel=0.02)
    kept = (T < 15.0) | (T > 25.0)
    assert not len(stepless(T[kept], (3.0 * T)[kept]).steps)


def test_growth_in_many_steps_is_growth() -> None:
    values = np.floor(T / 6.0) * 10.0
    assert not len(stepless(T, values).steps)


def test_a_burst_is_calmed_and_a_level_is_not() -> None:
    values = np.where((T > 10) & (T < 12), 50.0, 5.0)
    assert calmed(values).max() == 5.0
    assert calmed(np.where(T > 10, 50.0, 5.0))[-1] == 50.0


def test_falls_and_gaps_are_shares() -> None:
    assert deepest_fall(T) == 0.0
    assert deepest_fall(np.array([0.0, 10.0, 5.0, 10.0])) == pytest.approx(0.5)
    assert widest_gap(T[T < 20.0], 0.0, 40.0) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("growth", [0.0, 0.2])
def test_what_grows_under_a_sawtooth_lies_within_the_bounds_of_its_cycles(growth: float) -> None:
    found = cycles(T, 48.0 * ((T / 8.03) % 1.0) + growth * T)
    assert found is not None
    assert found.falls == 4
    assert found.low <= growth <= found.high


def test_a_reading_that_is_missing_far_from_a_fall_widens_no_bound() -> None:
    values = 16.0 * ((T / 8.0) % 1.0)
    whole = cycles(T, values)
    there = np.ones(len(T), dtype=bool)
    there[[4, 22, 25, 40, 53, 56, 70, 73]] = False  # on the way up, none beside a fall
    assert cycles(T[there], values[there]) == whole


def test_noise_about_a_level_is_no_sawtooth() -> None:
    assert cycles(T, np.random.default_rng(3).normal(0.0, 1.0, len(T))) is None
    assert cycles(T, np.full(len(T), 7.0)) is None


def _exactly(value: float) -> Slope:
    return Slope(value, value * 0.98, value * 1.02)


def test_growth_is_told_by_request_by_time_or_not_at_all() -> None:
    main = Stretch(300.0, _exactly(6.0))
    idle, slow = Stretch(0.0, Slope(0.0, -0.1, 0.1)), Stretch(75.0, Slope(1.5, 1.3, 1.7))
    by_request = attribute(main, [idle, slow])
    assert by_request.by == "request"
    assert by_request.per_request == pytest.approx(0.02)
    by_time = attribute(main, [Stretch(0.0, Slope(6.0, 5.5, 6.5)), Stretch(75.0, Slope(6.0, 5.0, 7.0))])
    assert (by_time.by, by_time.per_second) == ("time", 6.0)
    both = attribute(main, [Stretch(0.0, Slope(3.0, 2.8, 3.2))])
    assert both.by == "both"
    assert attribute(main, []).by == "unknown"
    assert attribute(main, [Stretch(0.0, Slope(3.0, -9.0, 9.0))]).by == "unknown"
    assert attribute(main, [idle, Stretch(75.0, Slope(6.0, 5.9, 6.1))]).why == "the stretches contradict each other"


def test_the_smallest_growth_that_is_found_is_searched_for_by_trying() -> None:
    noise = np.random.default_rng(4).normal(0.0, 0.01, len(T))
    found = smallest_found(T, noise[20:], T[20:], lambda t, y: bool((y[-1] - y[0]) > 10.0 + 0 * t[0]), start=0.01)
    assert found == pytest.approx(10.0 / T[-1], rel=0.1)
    assert smallest_found(T, noise[20:], T[20:], lambda t, y: bool(len(t) + len(y) < 0), start=1.0) is None


def test_growth_by_both_is_shared_out() -> None:
    both = attribute(Stretch(300.0, _exactly(6.0)), [Stretch(0.0, Slope(3.0, 2.7, 3.3))])
    assert both.per_second == pytest.approx(3.0)
    assert both.per_request == pytest.approx(3.0 / 300)


@pytest.mark.parametrize("needed", [0.3, 0.41, 0.7, 3.1])
def test_the_smallest_growth_is_told_to_a_few_percent(needed: float) -> None:
    found = smallest_found(T, np.zeros(60), T[20:], lambda t, y: bool(y[-1] / t[-1] >= needed), start=0.1)
    assert found is not None
    assert needed <= found <= 1.032 * needed


def test_blocks_are_of_equal_time_and_every_reading_is_in_one() -> None:
    t: Column = np.linspace(0.0, 119.0, 120)
    means, values = block_means(t, t**2)
    assert means == pytest.approx(np.array_split(t, 12) @ np.full(10, 0.1))
    assert values == pytest.approx([float((part**2).mean()) for part in np.array_split(t, 12)])
    few = t[[0, 1, 2, 60, 110]]
    assert block_means(few, few)[0].tolist() == few.tolist()
    holes = np.concatenate([t[:30], t[90:]])
    assert len(block_means(holes, holes)[0]) == 6


@pytest.mark.parametrize("n", [6, 7, 10, 13, 20])
@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.001])
def test_bounds_are_sen_s_order_statistics(n: int, alpha: float) -> None:
    """Of the slopes between all pairs: those that Kendall's S does not pass by chance (normal)."""
    t: Column = np.linspace(0.0, n - 1.0, n)
    y: Column = np.random.default_rng(5).standard_normal(n)
    each = sorted((y[j] - y[i]) / (t[j] - t[i]) for i in range(n) for j in range(i + 1, n))
    reach = float(stats.norm.isf(alpha)) * np.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    rank = int((len(each) - reach) / 2)
    found = slope(t, y, alpha_low=alpha, alpha_high=0.5)
    assert found.low == (each[rank - 1] if rank >= 1 else -np.inf)
    assert found.value == np.median(each)
    found = slope(t, y, alpha_low=0.5, alpha_high=alpha)
    assert found.high == (each[len(each) - rank] if rank >= 1 else np.inf)


def test_a_step_is_as_large_as_told_and_least_is_the_smallest_that_counts() -> None:
    values = 0.1 * T + 7.0 * (T > 20.0) + 9.0 * (T > 30.0)
    found = stepless(T, values)
    assert found.steps == pytest.approx([7.0, 9.0])
    assert found.at.tolist() == [int(np.argmax(T > 20.0)), int(np.argmax(T > 30.0))]
    assert found.values == pytest.approx(0.1 * T)
    assert stepless(T, values, least=8.0).steps == pytest.approx([9.0])
    assert not len(stepless(T[:7], values[:7] + 50.0 * (T[:7] > 1.0)).steps)


def test_cycles_are_bounded_by_every_pair_of_troughs_and_of_peaks() -> None:
    """Saw of 8 s read every half second, with a rise of 0.1/s under it: bounds are off by a reading's rise at most."""
    values = 16.0 * ((T / 8.0) % 1.0) + 0.1 * T
    found = cycles(T, values)
    assert found is not None
    assert found.falls == 4
    assert found.low == pytest.approx(0.1 - 1.05 / 24.0, abs=1e-6)
    assert found.high == pytest.approx(0.1 + 1.05 / 24.0, abs=1e-6)
    assert cycles(T[:48], values[:48]) is None  # two falls


def test_troughs_that_scatter_by_themselves_widen_the_doubt() -> None:
    depth = np.repeat([0.0, 6.0, -6.0, 4.0, 0.0], 16)
    values = 40.0 * ((T / 8.0) % 1.0) + depth
    found = cycles(T, values)
    assert found is not None
    assert found.low < -0.5
    assert found.high > 0.5
    assert found.low < 0.0 < found.high


@pytest.mark.parametrize(
    ("idle", "by"),
    [(0.0, "request"), (1.6, "request"), (1.8, "both"), (3.0, "both"), (3.7, "both"), (3.9, "time"), (5.0, "time")],
)
def test_what_goes_on_when_idle_is_owed_to_time(idle: float, by: str) -> None:
    main = Stretch(300.0, _exactly(6.0))
    assert attribute(main, [Stretch(0.0, Slope(idle, idle - 0.2, idle + 0.2))]).by == by


def test_a_stretch_at_nearly_the_same_rate_tells_nothing() -> None:
    main = Stretch(300.0, _exactly(6.0))
    assert attribute(main, [Stretch(270.0, _exactly(5.4))]).why == (
        "there was no stretch at another rate to compare with"
    )
    assert attribute(main, [Stretch(150.0, Slope(3.0, 2.9, 3.1))]).by == "request"
    assert attribute(main, [Stretch(150.0, Slope(6.0, 5.9, 6.1))]).by == "time"
    for none in (Stretch(300.0, _exactly(0.0)), Stretch(0.0, _exactly(1.0)), Stretch(300.0, _exactly(-1.0))):
        assert attribute(none, [Stretch(0.0, _exactly(0.0))]).why == "it does not grow"


def test_bounds_of_cycles_are_all_rises_that_fit_each_pair_within_a_reading() -> None:
    values = 16.0 * ((T / 8.0) % 1.0) + np.repeat([0.0, 0.4, 0.1, 0.7, 0.2], 16) - 0.2 * (np.arange(80) % 16 == 5)
    found = cycles(T, values)
    assert found is not None
    assert found.falls == 4  # the dips are too small to end one
    doubt = float(np.quantile(np.diff(values)[np.diff(values) > 0], 0.95))
    lows, highs = [], []
    for turns in (np.arange(15, 79, 16), np.arange(16, 80, 16)):
        pairs = [(one, other) for one in turns for other in turns if one < other]
        lows.append(max((values[b] - values[a] - doubt) / (T[b] - T[a]) for a, b in pairs))
        highs.append(min((values[b] - values[a] + doubt) / (T[b] - T[a]) for a, b in pairs))
    assert (found.low, found.high) == pytest.approx((min(lows), max(highs)))


def test_a_jump_of_less_than_a_tenth_of_the_range_is_no_step() -> None:
    assert not len(stepless(T, 10.0 * T + 20.0 * (T > 20.0)).steps)
    assert stepless(T, 10.0 * T + 50.0 * (T > 20.0)).steps == pytest.approx([50.0])


def test_what_may_be_owed_to_time_by_a_third_is_still_owed_to_requests() -> None:
    main = Stretch(300.0, _exactly(6.0))
    assert attribute(main, [Stretch(0.0, Slope(1.0, -0.5, 2.3))]).by == "request"
    assert attribute(main, [Stretch(0.0, Slope(1.0, -0.5, 2.5))]).by == "unknown"
