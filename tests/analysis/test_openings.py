"""Openings and windows of warm instances, on requests written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from proofload.analysis.openings import (
    Requests,
    Window,
    cold_prefix,
    is_failing,
    is_one_stall,
    is_slow,
    opening,
    warm_level,
    windows,
)
from proofload.clock import NS_PER_MS, NS_PER_S

HALF_S = NS_PER_S // 2


def requests(latency_ms: list[float], *, every_ms: float = 10.0, bad: tuple[int, ...] = ()) -> Requests:
    due = (np.arange(len(latency_ms)) * every_ms * NS_PER_MS).astype(np.int64) + 7 * NS_PER_S
    latency = np.array(latency_ms)
    failed = np.isin(np.arange(len(latency_ms)), bad)
    done = due + (latency * NS_PER_MS).astype(np.int64)
    return Requests(due, done, np.where(failed, np.nan, latency), failed)


def test_an_opening_begins_with_the_first_request_and_ends_after_its_length() -> None:
    window = opening(requests([1.0] * 49 + [5.0] + [900.0] * 50), HALF_S)
    assert window == Window(n=50, bad=0, worst_ms=5.0, median_ms=1.0)


def test_what_failed_is_counted_and_not_timed() -> None:
    assert opening(requests([900.0, 2.0, 2.0], bad=(0,)), HALF_S) == Window(n=3, bad=1, worst_ms=2.0, median_ms=2.0)


def test_only_whole_windows_count() -> None:
    assert [window.n for window in windows(requests([1.0] * 130), HALF_S)] == [50, 50]
    assert windows(requests([]), HALF_S) == ()


def test_no_answer_makes_no_level() -> None:
    assert warm_level([]) is None
    assert warm_level(windows(requests([1.0] * 60, bad=tuple(range(60))), HALF_S)) is None


def test_a_window_is_slow_beyond_the_penalty_and_not_at_it() -> None:
    warm = warm_level(windows(requests([2.0] * 500), HALF_S))
    assert warm is not None
    assert (warm.worst_ms, warm.median_ms) == (2.0, 2.0)
    assert not is_slow(Window(50, 0, 102.0, 2.0), warm, 100.0)
    assert is_slow(Window(50, 0, 102.1, 2.0), warm, 100.0)


def test_a_median_that_is_slower_all_over_counts_too() -> None:
    warm = warm_level(windows(requests([2.0] * 500), HALF_S))
    assert warm is not None
    assert not is_slow(Window(50, 0, 30.0, 22.0), warm, 100.0)
    assert is_slow(Window(50, 0, 30.0, 22.1), warm, 100.0)
    slower = warm_level(windows(requests([200.0] * 500), HALF_S))
    assert slower is not None
    assert not is_slow(Window(50, 0, 299.0, 299.0), slower, 100.0)  # 1.5 × the median is no more than noise there


def test_more_failures_than_the_warm_instance_has_are_needed_to_call_it_failing() -> None:
    calm = warm_level(windows(requests([2.0] * 1000), HALF_S))
    rough = warm_level(windows(requests([2.0] * 1000, bad=tuple(range(0, 1000, 20))), HALF_S))
    assert calm is not None
    assert rough is not None
    assert calm.bad_share == pytest.approx(1 - 0.05 ** (1 / 950))
    assert not is_failing(Window(50, 0, 2.0, 2.0), calm)
    assert not is_failing(Window(50, 2, 2.0, 2.0), calm)
    assert is_failing(Window(50, 3, 2.0, 2.0), calm)
    assert not is_failing(Window(50, 6, 2.0, 2.0), rough)
    assert is_failing(Window(50, 10, 2.0, 2.0), rough)


def test_the_cold_prefix_ends_where_slow_answers_are_no_longer_dense() -> None:
    assert cold_prefix(requests([2.0] * 100), 50.0) == 0
    assert cold_prefix(requests([90.0] * 10 + [2.0] * 90), 50.0) == 10
    assert cold_prefix(requests([90.0, 2.0, 90.0, 2.0, 90.0] + [2.0] * 90), 50.0) == 5
    assert cold_prefix(requests([2.0] * 95 + [90.0] * 5), 50.0) == 0
    assert cold_prefix(requests([2.0] * 10, bad=(0, 1, 2)), 50.0) == 3


def test_waiting_for_one_thing_is_told_from_a_row_of_slow_answers() -> None:
    one = [400.0 - 10.0 * place for place in range(40)] + [2.0] * 60
    row = [60.0 * (place + 1) - 10.0 * place for place in range(20)] + [2.0] * 80
    assert is_one_stall(requests(one), 50.0)
    assert not is_one_stall(requests(row), 50.0)
    assert not is_one_stall(requests([2.0] * 10), 50.0)


def test_a_window_is_whole_up_to_the_last_request() -> None:
    due = np.arange(0, 2001, 500) * NS_PER_MS
    timed = Requests(due, due, np.ones(5), np.zeros(5, np.bool_))
    assert [window.n for window in windows(timed, 1000 * NS_PER_MS)] == [2, 2]
    assert len(windows(timed, 1001 * NS_PER_MS)) == 1
    assert len(windows(timed, 2001 * NS_PER_MS)) == 0
