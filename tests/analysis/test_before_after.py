"""Before and after a switch: shares by blocks of time, limits frozen before, what the switch itself cost."""

from __future__ import annotations

import numpy as np
import pytest

from proofload.analysis.before_after import (
    FAILURES,
    SLOWER,
    TAIL,
    Counts,
    Requests,
    guards,
    limits_from,
    shares_difference,
)
from proofload.analysis.switches import Switch, cost_of, lost_to_the_end
from proofload.records import SAMPLE_DTYPE, Outcome, Samples

MS = 1_000_000


def requests(latency: list[float], failed: list[bool] | None = None, block: list[int] | None = None) -> Requests:
    n = len(latency)
    flags = np.array(failed if failed is not None else [False] * n)
    return Requests(np.array(latency), flags, np.zeros(n, np.bool_), np.array(block if block is not None else range(n)))


def test_limits_are_frozen_before_the_switch() -> None:
    limits = limits_from(requests([2.0] * 99 + [4.0]), slower=0.5, slower_ms=1.0, failed=0.01, tail=0.02)
    assert limits.slower_ms == 4.0
    assert 7.0 <= limits.far_ms <= 13.0
    nobody = limits_from(requests([]), slower=0.5, slower_ms=1.0, failed=0.01, tail=0.02)
    assert np.isinf(nobody.slower_ms)


def test_a_median_may_have_half_of_the_answers_beyond_it() -> None:
    before = requests([2.0, 2.0, 9.0, 2.0])
    limits = limits_from(before, slower=0.5, slower_ms=1.0, failed=0.01, tail=0.02)
    found = guards(before, requests([9.0, 9.0, 2.0, 9.0]), limits)
    assert found[SLOWER].margin == 0.25
    assert found[SLOWER].difference().effect == pytest.approx(0.5)
    assert found[TAIL].margin == 0.02


def test_unanswered_requests_count_as_failures_and_not_as_slow() -> None:
    before = requests([1.0, 1.0, 1.0])
    limits = limits_from(before, slower=0.5, slower_ms=1.0, failed=0.01, tail=0.02)
    found = guards(before, requests([np.nan, 1.0, 1.0], [True, False, False]), limits)
    assert found[FAILURES].after.bad.tolist() == [1, 0, 0]
    assert found[SLOWER].after.n.tolist() == [0, 1, 1]


def test_spread_over_blocks_is_each_side_s_own() -> None:
    even = Counts(np.full(10, 100), np.full(10, 5))
    bursty = Counts(np.full(10, 100), np.array([50] + [0] * 9))
    assert shares_difference(even, bursty).variance > 5 * shares_difference(even, even).variance
    assert shares_difference(even, bursty).effect == 0.0


def test_a_difference_takes_so_many_blocks_and_no_more() -> None:
    before = Counts(np.full(4, 10), np.zeros(4, np.int64))
    after = Counts(np.full(4, 10), np.array([0, 0, 10, 10]))
    found = guards(requests([1.0] * 2), requests([1.0] * 2), limits_from(requests([1.0]), slower=0, slower_ms=1,
                   failed=0.01, tail=0.01))[FAILURES]  # fmt: skip
    assert found.margin == 0.01
    assert shares_difference(before, after.until(2)).effect == 0.0
    assert shares_difference(before, after).effect == 0.5


def rows(*given: tuple[int, int, int, int, int]) -> Samples:
    """(arm, due ms, done ms, outcome, status) each, dispatched when due."""
    table = np.zeros(len(given), SAMPLE_DTYPE)
    for row, (arm, due, done, outcome, status) in zip(table, given, strict=True):
        row["arm"], row["outcome"], row["status"] = arm, outcome, status
        row["intended_ns"] = row["dispatched_ns"] = due * MS
        row["done_ns"] = done * MS
    return Samples(table)


def test_a_switch_is_over_when_nothing_goes_the_old_way() -> None:
    samples = rows((0, 5, 6, Outcome.OK, 200), (0, 12, 13, Outcome.OK, 200), (1, 14, 15, Outcome.OK, 200))
    cost = cost_of(Switch(1, 10 * MS, 11 * MS), samples, until_ns=100 * MS)
    assert cost.settled_s == pytest.approx(0.002)
    assert (cost.in_flight, cost.lost) == (0, 0)


def test_a_request_that_nobody_answered_while_it_was_switched_is_lost() -> None:
    samples = rows(
        (0, 9, 12, Outcome.ERROR, -1),
        (0, 9, 12, Outcome.ERROR, 500),
        (1, 10, 12, Outcome.ERROR, 502),
        (1, 50, 52, Outcome.ERROR, -1),
    )
    cost = cost_of(Switch(1, 10 * MS, 11 * MS), samples, until_ns=100 * MS)
    assert (cost.in_flight, cost.lost) == (3, 2)


def test_what_a_version_dropped_at_its_end_is_counted() -> None:
    samples = rows((0, 9, 12, Outcome.ERROR, -1), (0, 9, 11, Outcome.OK, 200), (1, 9, 12, Outcome.ERROR, -1))
    assert lost_to_the_end(samples, 0, 10 * MS, 20 * MS) == (1, 2)


def test_looks_are_quickest_about_a_beginning_and_an_outage_and_about_half_of_a_median() -> None:
    side = requests([1.0, 1.0, 1.0])
    found = guards(side, side, limits_from(side, slower=0.5, slower_ms=1.0, failed=0.01, tail=0.02))
    assert found[FAILURES].taus == pytest.approx((0.04, 0.4))
    assert found[TAIL].taus == pytest.approx((0.08, 0.8))
    assert found[SLOWER].taus == (0.5,)


def test_a_difference_knows_where_it_began_and_how_many_blocks_it_rests_on() -> None:
    found = shares_difference(Counts(np.full(6, 100), np.full(6, 10)), Counts(np.full(9, 100), np.full(9, 30)))
    assert found.baseline == pytest.approx(0.1)
    assert found.effect == pytest.approx(0.2)
    assert found.freedom == 13
    assert found.users == (600, 900)


def test_a_side_with_one_bad_block_is_taken_to_have_had_one_more() -> None:
    """Of ten blocks of a hundred; the bad one had fifty: that is what another one would have, in 2 of 12 blocks."""
    calm, once = Counts(np.full(10, 100), np.zeros(10, np.int64)), Counts(np.full(10, 100), np.array([50] + [0] * 9))
    found = shares_difference(calm, once)
    of_calm = 0.25 * (1 / 12) * (11 / 12) / 12
    of_once = max(0.25 * (2 / 12) * (10 / 12) / 12, (45.0**2 + 9 * 5.0**2) / 1000**2 * 10 / 9)
    assert found.variance == pytest.approx(of_calm + of_once)
    usual = shares_difference(calm, once, rare=False)
    assert usual.variance < found.variance


def test_blocks_that_are_evenly_bad_vary_as_chance_would() -> None:
    even = Counts(np.full(10, 100), np.full(10, 20))
    found = shares_difference(even, even, rare=False)
    assert found.variance == pytest.approx(2 * 0.2 * 0.8 / 1000, rel=0.02)
