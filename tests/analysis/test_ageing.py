"""Latency over the age of a run, in cells: every request in one of them, percentiles right to a percent."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload.analysis.ageing import BINS, above, bins_of, cells_of, merged, middles_s, percentile_ms
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import SAMPLE_DTYPE, Outcome, Samples

START = 3 * NS_PER_S


def run(took_ms: Any, *, lag_ms: float = 0.0, rate: int = 100) -> Samples:
    """One request every 10 ms, done so long after it was dispatched."""
    took = np.asarray(took_ms, float)
    table: NDArray[Any] = np.zeros(len(took), SAMPLE_DTYPE)
    table["intended_ns"] = START + np.arange(len(took)) * NS_PER_S // rate
    table["dispatched_ns"] = table["intended_ns"] + round(lag_ms * NS_PER_MS)
    table["done_ns"] = table["dispatched_ns"] + (took * NS_PER_MS).astype(np.int64)
    table["outcome"] = Outcome.OK
    return Samples(table)


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_a_percentile_is_right_to_a_percent(q: float) -> None:
    took = np.random.default_rng(1).lognormal(2, 1, 2000)
    counts = np.bincount(bins_of(took * NS_PER_MS), minlength=BINS)
    exact = np.sort(took)[math.ceil(q * 2000) - 1]
    assert percentile_ms(counts, q) == pytest.approx(exact, rel=0.01)


def test_no_requests_have_no_percentile_and_one_has_all() -> None:
    assert math.isnan(percentile_ms(np.zeros(BINS, np.int64), 0.5))
    one = np.bincount(bins_of(np.array([7.0 * NS_PER_MS])), minlength=BINS)
    assert percentile_ms(one, 0.001) == percentile_ms(one, 1.0) == pytest.approx(7.0, rel=0.01)


def test_what_is_faster_or_slower_than_the_bins_reach_is_in_the_first_or_last() -> None:
    assert bins_of(np.array([0.0, 1e3, 1e4, 1e30])).tolist() == [0, 0, 0, BINS - 1]
    reached = 1e4 * 1.01**BINS / NS_PER_S
    assert reached > 3600  # over an hour


def test_requests_above_a_limit_are_counted_to_a_bin() -> None:
    took = np.arange(1.0, 101.0) + 0.5
    counts = np.bincount(bins_of(took * NS_PER_MS), minlength=BINS)
    assert above(counts, 50.0) == pytest.approx(51, abs=1)
    assert above(counts, 0.0) == 100
    assert above(counts, 200.0) == 0
    assert above(np.bincount(bins_of(np.array([12e3])), minlength=BINS), 0.0) == 1


def test_every_request_is_in_one_cell_the_last_ones_in_the_last() -> None:
    samples = run(np.full(1000, 5.0))
    cells = cells_of(samples, START, START + 9 * NS_PER_S, 3, timeout_s=1.0)
    assert [(cell.start_ns - START) / NS_PER_S for cell in cells] == [0, 3, 6]
    assert [(cell.end_ns - START) / NS_PER_S for cell in cells] == [3, 6, 9]
    assert [cell.timed for cell in cells] == [300, 300, 400]  # what was due after the end, too
    assert [cell.due for cell in cells] == [300, 300, 400]
    assert [cell.bad for cell in cells] == [0, 0, 0]


def test_requests_that_failed_are_bad_and_not_timed_and_those_never_sent_are_nothing() -> None:
    samples = run(np.full(100, 5.0))
    samples.table["outcome"][:10] = Outcome.ERROR
    samples.table["outcome"][10:15] = Outcome.TIMEOUT
    samples.table["outcome"][15:22] = Outcome.UNSENT
    samples.table["outcome"][22:25] = Outcome.LATE
    (cell,) = cells_of(samples, START, START + NS_PER_S, 1, timeout_s=2.0)
    assert (cell.due, cell.bad, cell.timed) == (93, 18, 83)
    assert percentile_ms(cell.counts, 1.0) == pytest.approx(2000, rel=0.01)  # a timeout is at least its timeout


def test_the_client_s_own_lag_is_no_ageing_of_the_target() -> None:
    for lag_ms in (0.0, 30.0):
        (cell,) = cells_of(run(np.full(100, 5.0), lag_ms=lag_ms), START, START + NS_PER_S, 1, timeout_s=1.0)
        assert percentile_ms(cell.counts, 0.5) == pytest.approx(5.0, rel=0.01)
    held = run(np.full(100, 5.0), lag_ms=30.0)
    held.table["outcome"] = Outcome.TIMEOUT
    (cell,) = cells_of(held, START, START + NS_PER_S, 1, timeout_s=1.0)
    assert percentile_ms(cell.counts, 0.5) == pytest.approx(1000, rel=0.01)  # of a timeout nothing is taken off


def test_neighbours_are_put_together_whole_and_in_order() -> None:
    cells = cells_of(run(np.full(700, 5.0)), START, START + 7 * NS_PER_S, 7, timeout_s=1.0)
    pairs = merged(cells, 3)
    assert [(cell.start_ns - START) // NS_PER_S for cell in pairs] == [0, 2, 4]  # the seventh has no neighbour
    assert [(cell.end_ns - START) // NS_PER_S for cell in pairs] == [2, 4, 6]
    assert [(cell.timed, cell.due, cell.bad) for cell in pairs] == [(200, 200, 0)] * 3
    assert [cell.due for cell in merged(cells, 7)] == [100] * 7
    assert len(merged(cells, 20)) == 7
    assert middles_s(pairs).tolist() == [1.0, 3.0, 5.0]
