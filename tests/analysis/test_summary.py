"""Phase summaries: every request is counted once, and percentiles are over the right ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from proofload.analysis.summary import due_since, error_counts, latencies, summarise
from proofload.records import SAMPLE_DTYPE, Outcome, Phase, Samples

MS = 1_000_000
S = 1_000_000_000
START = 7 * S


def run(n: int, rate: float = 1000.0, latency_ms: Any = 5.0, outcome: Any = Outcome.OK, lag_ms: float = 0.1) -> Samples:
    """n requests at a constant rate: dispatched `lag_ms` late, sent 0.05 ms later."""
    table: NDArray[Any] = np.zeros(n, SAMPLE_DTYPE)
    table["seq"] = np.arange(n)
    table["intended_ns"] = START + (np.arange(n) * (S / rate)).astype(np.int64)
    table["dispatched_ns"] = table["intended_ns"] + round(lag_ms * MS)
    table["sent_ns"] = table["dispatched_ns"] + 50_000
    table["done_ns"] = table["intended_ns"] + (np.broadcast_to(latency_ms, n) * MS).astype(np.int64)
    table["outcome"] = outcome
    table["status"] = 200
    return Samples(table)


def phase(samples: Samples, rate: float = 1000.0, planned: int | None = None) -> Phase:
    n = len(samples) if planned is None else planned
    return Phase(0, "load", "constant", rate, n / rate, n, START)


@given(st.lists(st.sampled_from(list(Outcome)), max_size=200), st.integers(0, 250), st.integers(0, 50))
def test_planned_is_the_sum_of_outcomes_and_excluded(outcomes: list[Outcome], cut: int, missing: int) -> None:
    samples = run(len(outcomes), outcome=np.array(outcomes, dtype=np.uint8))
    plan = phase(samples, planned=len(outcomes) + missing)
    summary = summarise(plan, samples, cut_ns=START + cut * MS if cut else 0)
    assert summary.planned == sum(summary.outcomes.values()) + summary.excluded
    assert summary.excluded == min(cut, len(outcomes))
    assert summary.duration_s >= 0


def test_percentiles_are_over_answers_and_timeouts_only() -> None:
    outcome = np.full(1000, Outcome.OK, dtype=np.uint8)
    latency = np.full(1000, 10.0)
    outcome[::10], latency[::10] = Outcome.SHED, 0.2  # fast refusals must not flatter
    outcome[1::10], latency[1::10] = Outcome.ERROR, 0.2
    outcome[2::10], latency[2::10] = Outcome.TIMEOUT, 500.0
    summary = summarise(phase(samples := run(1000, latency_ms=latency, outcome=outcome)), samples)
    assert summary.latency.n == 800
    assert summary.latency.quantiles["p50"].value == 10.0
    assert summary.latency.max_ms == 500.0
    assert summary.latency.quantiles["p90"].censored
    assert summary.service.n == 700


def test_a_timeout_counts_as_at_least_its_timeout() -> None:
    outcome = np.full(100, Outcome.OK, dtype=np.uint8)
    outcome[40:60] = Outcome.TIMEOUT
    samples = run(100, latency_ms=30.0, outcome=outcome)
    samples.table["done_ns"][40:50] = 0  # cut off before the client gave up
    latency, gave_up = latencies(samples, timeout_s=2.0)
    assert latency[gave_up].min() == 2 * S
    assert np.count_nonzero(gave_up) == 20
    unknown, _ = latencies(samples)
    assert unknown[gave_up].min() == 30 * MS


def test_latency_runs_from_the_due_time_and_service_time_from_sending() -> None:
    summary = summarise(phase(samples := run(1000, latency_ms=5.0, lag_ms=1.0)), samples)
    assert summary.latency.quantiles["p50"].value == 5.0
    assert summary.service.quantiles["p50"].value == pytest.approx(3.95)
    assert summary.connection_wait.quantiles["p50"].value == pytest.approx(0.05)


def test_rates_are_per_second_of_the_measured_stretch() -> None:
    outcome = np.full(10_000, Outcome.OK, dtype=np.uint8)
    outcome[5000::2] = Outcome.ERROR
    samples = run(10_000, outcome=outcome)
    whole = summarise(phase(samples), samples)
    assert (whole.offered_rps, whole.goodput_rps, whole.duration_s) == (1000.0, 750.0, 10.0)
    second_half = summarise(phase(samples), samples, cut_ns=START + 5 * S)
    assert (second_half.offered_rps, second_half.goodput_rps, second_half.duration_s) == (1000.0, 500.0, 5.0)
    assert second_half.excluded == 5000


def test_a_run_that_was_killed_halfway_is_not_halved_in_goodput() -> None:
    samples = run(5000)
    summary = summarise(phase(samples, planned=10_000), samples)
    assert summary.outcomes["unsent"] == 5000
    assert summary.goodput_rps == pytest.approx(1000.0, rel=0.001)
    assert summary.offered_rps == pytest.approx(1000.0, rel=0.001)


def test_a_deep_percentile_spoiled_by_send_lag_is_withheld() -> None:
    clean = run(50_000, latency_ms=5.0)
    late = run(50_000, latency_ms=np.where(np.arange(50_000) % 500 == 0, 9.0, 5.0))
    late.table["dispatched_ns"][::500] += 4 * MS
    late.table["sent_ns"][::500] += 4 * MS
    assert summarise(phase(clean), clean).latency.quantiles["p99_9"].value == 5.0
    spoiled = summarise(phase(late), late).latency.quantiles
    assert spoiled["p99_9"].value is None
    assert spoiled["p99"].value == 5.0


def test_nothing_recorded_is_no_number() -> None:
    summary = summarise(phase(samples := run(0), planned=100), samples)
    assert summary.outcomes["unsent"] == 100
    assert summary.latency.quantiles["p50"].value is None
    assert summary.goodput_rps == 0.0


def test_a_cut_is_a_view_and_no_copy() -> None:
    samples = run(1000)
    later = due_since(samples, START + 100 * MS)
    assert len(later) == 900
    assert np.shares_memory(later.table, samples.table)


def test_errors_are_counted_by_kind_and_status() -> None:
    samples = run(100, outcome=Outcome.OK)
    samples.table["error"][:10], samples.table["status"][:10] = 2, 500
    samples.table["error"][10:13], samples.table["status"][10:13] = 2, 502
    samples.table["error"][13:15], samples.table["status"][13:15] = 1, -1
    kinds = error_counts(samples, {1: "reset", 2: "http-5xx"})
    assert [(kind.kind, kind.count, dict(kind.statuses)) for kind in kinds] == [
        ("http-5xx", 13, {500: 10, 502: 3}),
        ("reset", 2, {-1: 2}),
    ]


def test_requests_that_were_cut_off_unsent_are_offered_by_nobody() -> None:
    samples = run(5000)
    samples.table["outcome"][3000:] = Outcome.UNSENT
    for column in ("dispatched_ns", "sent_ns", "done_ns"):
        samples.table[column][3000:] = 0
    summary = summarise(phase(samples), samples)
    assert summary.outcomes["unsent"] == 2000
    assert summary.duration_s == pytest.approx(3.0, rel=0.001)
    assert summary.offered_rps == pytest.approx(1000.0, rel=0.001)
    assert summary.goodput_rps == pytest.approx(1000.0, rel=0.001)
