"""What a switch of traffic cost: who was exposed to it, and what nobody answered."""

from __future__ import annotations

import numpy as np
import pytest

from proofload.analysis.switches import Switch, cost_of, lost_around, lost_to_the_end, unanswered
from proofload.records import SAMPLE_DTYPE, Outcome, Samples

MS = 1_000_000
DROPPED = (Outcome.ERROR, -1)
FINE = (Outcome.OK, 200)


def rows(*given: tuple[int, int, int, tuple[Outcome, int]]) -> Samples:
    """(arm, dispatched ms, done ms, (outcome, status)) each."""
    table = np.zeros(len(given), SAMPLE_DTYPE)
    for row, (arm, dispatched, done, (outcome, status)) in zip(table, given, strict=True):
        row["arm"], row["outcome"], row["status"] = arm, outcome, status
        row["intended_ns"] = row["dispatched_ns"] = dispatched * MS
        row["done_ns"] = done * MS
    return Samples(table)


@pytest.mark.parametrize(
    ("outcome", "status", "nobody"),
    [
        (Outcome.ERROR, -1, True), (Outcome.ERROR, 0, False), (Outcome.ERROR, 500, False), (Outcome.ERROR, 502, True),
        (Outcome.SHED, 503, True), (Outcome.ERROR, 504, True), (Outcome.SHED, 429, False), (Outcome.OK, 200, False),
        (Outcome.OK, -1, False), (Outcome.TIMEOUT, -1, True),
    ],
)  # fmt: skip
def test_an_error_of_the_version_s_own_is_an_answer(outcome: Outcome, status: int, nobody: bool) -> None:
    samples = rows(*[(0, 5, 6, FINE)] * 2000, (0, 5, 6, (outcome, status)))
    assert unanswered(samples).tolist() == [False] * 2000 + [nobody]


def test_timeouts_are_no_losses_where_they_are_usual() -> None:
    wait = (Outcome.TIMEOUT, -1)
    assert unanswered(rows(*[(0, 5, 6, FINE)] * 999, (0, 5, 6, wait))).sum() == 1
    assert unanswered(rows(*[(0, 5, 6, FINE)] * 998, (0, 5, 6, wait))).sum() == 0
    assert unanswered(rows(*[(0, 5, 6, wait)] * 9, (0, 5, 6, DROPPED))).tolist() == [False] * 9 + [True]


def test_only_what_strays_while_the_switch_holds_delays_it() -> None:
    switch = Switch(1, 1000 * MS, 1010 * MS)
    old = [(0, at, at + 1, FINE) for at in (999, 1000, 1030, 2000)]
    cost = cost_of(switch, rows(*old, (1, 1500, 1501, FINE)), until_ns=2000 * MS)
    assert cost.settled_s == pytest.approx(0.030)
    assert cost_of(switch, rows((1, 1500, 1501, FINE)), until_ns=2000 * MS).settled_s == pytest.approx(0.010)


def test_under_way_is_what_was_dispatched_before_the_end_and_not_done_before_the_beginning() -> None:
    switch = Switch(1, 1000 * MS, 1010 * MS)
    samples = rows(
        (0, 990, 999, DROPPED), (0, 990, 1000, DROPPED), (0, 1005, 1006, DROPPED), (0, 1010, 1500, DROPPED),
        (0, 1011, 1012, DROPPED), (0, 0, 1005, DROPPED), (0, 1001, 1002, DROPPED),
    )  # fmt: skip
    samples.table["mirror"][6] = 1
    cost = cost_of(switch, samples, until_ns=2000 * MS)
    assert (cost.in_flight, cost.lost) == (3, 3)
    assert lost_to_the_end(samples, 0, 1000 * MS, 1010 * MS) == (3, 3)
    assert lost_to_the_end(samples, 1, 1000 * MS, 1010 * MS) == (0, 0)


def test_what_is_near_a_switch_is_exposed_and_the_others_show_what_is_usual() -> None:
    """A quarter of a second around it, and what was under way through all of that."""
    switch = Switch(1, 10_000 * MS, 10_100 * MS)
    samples = rows(
        (0, 9_749, 9_760, DROPPED),
        (0, 9_750, 9_760, FINE),
        (1, 10_350, 10_360, DROPPED),
        (1, 10_351, 10_360, FINE),
        (0, 9_000, 10_050, DROPPED),
        (0, 9_000, 9_010, FINE),
        (1, 11_000, 11_010, FINE),
        (0, 0, 10_050, DROPPED),
    )
    found = lost_around([switch], samples, [])
    assert (found.exposed, found.lost) == (3, 2)
    assert found.usual == pytest.approx(1 / 4)
    both = lost_around([switch, Switch(0, 10_900 * MS, 11_200 * MS)], samples, [])
    assert (both.exposed, both.lost) == (4, 2)


def test_what_an_arm_loses_at_its_end_is_told_apart() -> None:
    switch = Switch(1, 10_000 * MS, 10_100 * MS)
    samples = rows((0, 10_050, 10_060, DROPPED), (1, 10_050, 10_060, DROPPED), (0, 5_000, 5_010, FINE))
    found = lost_around([switch], samples, [(0, 10_040 * MS, 10_200 * MS)])
    assert (found.exposed, found.lost, found.usual) == (1, 1, 0.0)
    assert lost_around([switch], rows((0, 10_050, 10_060, FINE)), []).usual == 0.0  # there are no others
