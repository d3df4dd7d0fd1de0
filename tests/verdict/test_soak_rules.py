"""The decisions of a soak on simulated histories; 10,000 of each shape are tried by `proofload selftest`."""

from __future__ import annotations

import numpy as np
import pytest

from proofload.analysis.trend import Column
from proofload.procedures._soak import allotment
from proofload.records import Status
from proofload.selftest import Shape
from proofload.selftest.simulated import tally
from proofload.selftest.trials import soak_counts, soak_latency, soak_memory
from proofload.verdict.soak import Rule, judge_growth
from proofload.verdict.soak_latency import P50, judge_creep, judge_failures

SHAPES = [shape for trial in (soak_memory, soak_counts, soak_latency) for shape in trial.create().shapes()]
T: Column = np.linspace(0.0, 37.5, 76)
HISTORIES = 60


@pytest.mark.parametrize("shape", [s for s in SHAPES if s.kind == "null"], ids=lambda shape: shape.name)
def test_what_is_harmless_does_not_fail(shape: Shape) -> None:
    assert tally(shape, HISTORIES).share(Status.FAIL) <= 0.02


@pytest.mark.parametrize("shape", [s for s in SHAPES if s.detect], ids=lambda shape: shape.name)
def test_what_is_harmful_fails_and_never_passes(shape: Shape) -> None:
    found = tally(shape, HISTORIES)
    assert found.share(Status.FAIL) >= 0.93
    assert found.share(Status.PASS) == 0.0


def test_a_series_of_a_few_readings_settles_nothing() -> None:
    assert judge_growth(T[:10], T[:10], Rule(1.0)).status is Status.INCONCLUSIVE
    assert judge_growth(T[:0], T[:0], Rule(1.0)).status is Status.INCONCLUSIVE


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_a_reading_that_is_no_number_is_dropped(odd: float) -> None:
    values = 8.0 * T / 28.5
    spoiled = values.copy()
    spoiled[[3, 40]] = odd
    assert judge_growth(T, spoiled, Rule(1.0)).status is judge_growth(T, values, Rule(1.0)).status is Status.FAIL
    assert judge_growth(T, np.full(len(T), odd), Rule(1.0)).status is Status.INCONCLUSIVE


def test_readings_of_one_instant_settle_nothing() -> None:
    assert judge_growth(np.full(76, 5.0), T, Rule(1.0)).status is Status.INCONCLUSIVE
    assert judge_growth(np.repeat(T[::19], 19), T, Rule(1.0)).status is Status.INCONCLUSIVE


def test_what_every_check_may_use_adds_up_to_the_error_rate_of_the_scenario() -> None:
    assert allotment.SLO * 0.001 + allotment.each(0.001) * len(allotment.OTHERS) == pytest.approx(0.001)


def test_a_creep_is_judged_at_the_error_rate_it_is_given() -> None:
    ms = 3.0 + np.arange(12.0)
    sure = judge_creep(np.arange(12.0), ms, P50, alpha_fail=1e-4, alpha_pass=0.01)
    surer = judge_creep(np.arange(12.0), ms, P50, alpha_fail=1e-9, alpha_pass=0.01)
    assert (sure.status, surer.status) == (Status.FAIL, Status.INCONCLUSIVE)


def test_growth_just_under_the_margin_is_neither_failed_nor_passed_for_certain() -> None:
    noise = np.random.default_rng(1).normal(0.0, 0.3, len(T))
    found = judge_growth(T, noise + 7.8 * T / 28.5, Rule(8.0, 1.0))
    assert found.status is Status.INCONCLUSIVE
    assert found.low <= 7.8 <= found.high


def test_growth_that_goes_on_in_late_steps_does_not_pass() -> None:
    steps = 30.0 * ((T > 15.0).astype(float) + (T > 22.0) + (T > 30.0))
    assert (
        judge_growth(T, steps + np.random.default_rng(2).normal(0, 0.1, len(T)), Rule(8.0, 1.0)).status
        is not Status.PASS
    )


def test_latency_that_was_never_answered_settles_nothing() -> None:
    assert (
        judge_creep(np.arange(12.0), np.full(12, np.nan), P50, alpha_fail=1e-4, alpha_pass=0.01).status
        is Status.INCONCLUSIVE
    )


def test_latency_that_falls_is_no_creep() -> None:
    assert (
        judge_creep(np.arange(12.0), np.linspace(9.0, 3.0, 12), P50, alpha_fail=1e-4, alpha_pass=0.01).status
        is Status.PASS
    )


def test_failures_that_set_in_late_are_found_and_steady_ones_are_not() -> None:
    few, many = [(0, 500)] * 8, [(40, 500)] * 8
    assert judge_failures(few, many, 0.005, alpha_fail=1e-4, alpha_pass=0.01).status is Status.FAIL
    assert judge_failures(many, many, 0.005, alpha_fail=1e-4, alpha_pass=0.01).status is not Status.FAIL
    assert judge_failures(few, few, 0.005, alpha_fail=1e-4, alpha_pass=0.01).status is Status.PASS
    assert judge_failures([], few, 0.005, alpha_fail=1e-4, alpha_pass=0.01).status is Status.INCONCLUSIVE


def test_a_trend_begins_where_the_window_does() -> None:
    t: Column = np.linspace(0.5, 19.5, 20)
    for growth in (0.0, 0.8):
        found = judge_creep(t, 40.0 + growth * t, P50, alpha_fail=1e-4, alpha_pass=0.01)
        assert found.start_ms == pytest.approx(40.0 + growth * 0.5, abs=growth / 2)
        assert (found.low_ms, found.growth_ms, found.high_ms) == pytest.approx((20 * growth,) * 3)
        assert found.allowed_ms == pytest.approx(0.25 * found.start_ms + 1.0)


def test_one_fast_cell_is_not_where_a_trend_begins() -> None:
    t: Column = np.linspace(0.5, 19.5, 20)
    values = 40.0 + 0.8 * t
    values[7] = 5.0
    assert judge_creep(t, values, P50, alpha_fail=1e-4, alpha_pass=0.01).start_ms == pytest.approx(40.0, abs=0.1)


def test_one_batch_shows_no_growth_of_failures_and_bursts_show_less_than_what_is_spread() -> None:
    def high(late: list[tuple[int, int]]) -> float:
        return judge_failures([(0, 100)] * 10, late, 0.05, alpha_fail=1e-4, alpha_pass=0.01).high

    assert judge_failures([(0, 1000)], [(0, 1000)], 0.05, alpha_fail=1e-4, alpha_pass=0.01).status is (
        Status.INCONCLUSIVE
    )
    assert judge_failures([(0, 0)] * 2, [(0, 0)] * 2, 0.05, alpha_fail=1e-4, alpha_pass=0.01).status is (
        Status.INCONCLUSIVE
    )
    assert high([(2, 100)] * 10) < high([(20, 100)] + [(0, 100)] * 9)


def test_what_slows_down_in_the_last_third_is_no_leak_to_the_end() -> None:
    settled = T[T[-1] / 4 <= T]
    bend = settled[0] + (settled[-1] - settled[0]) * 2 / 3
    slower = np.where(bend < T, bend + 0.47 * (T - bend), T)
    found = judge_growth(T, slower, Rule(1.0))
    assert (found.status, found.why) == (Status.INCONCLUSIVE, "it grew, and less towards the end")
    assert judge_growth(T, T.copy(), Rule(1.0)).status is Status.FAIL


def test_growth_is_told_over_the_settled_window() -> None:
    found = judge_growth(T, 3.0 * T, Rule(1.0))
    assert found.window_s == pytest.approx(0.75 * T[-1], abs=0.6)
    assert found.growth == pytest.approx(3.0 * found.window_s)
    assert (found.low, found.high) == pytest.approx((found.growth, found.growth))
    assert (found.steps, found.cycles) == (0, 0)


@pytest.mark.parametrize(("margin", "granule", "status"), [(1.2, 0.0, Status.PASS), (1.2, 0.3, Status.INCONCLUSIVE),
                                                           (1.2, 0.1, Status.PASS)])  # fmt: skip
def test_a_granule_of_the_allocator_must_fit_beside_what_was_seen(
    margin: float, granule: float, status: Status
) -> None:
    assert judge_growth(T, T / 28.5, Rule(margin, granule)).status is status


def test_what_grew_at_first_and_has_stopped_passes() -> None:
    stopped = np.minimum(T, 20.0) / 12.0
    found = judge_growth(T, stopped, Rule(1.0))
    assert (found.status, found.why) == (Status.PASS, "it grew at first, and has stopped")
    assert judge_growth(T, stopped, Rule(1.0, granule=0.6)).status is Status.INCONCLUSIVE
