"""From what a rollout showed to checks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from proofload.analysis.assignment import SplitSeen, too_many
from proofload.analysis.guard_margins import Excess
from proofload.analysis.sequential import share_path, threshold
from proofload.records import Status
from proofload.verdict.rollout import (
    GUARDS,
    OTHERS,
    GuardSeen,
    Switch,
    Tolerances,
    answers_to_trip,
    assignment_check,
    data_check,
    down_check,
    guard_check,
    split_check,
    switch_check,
    taken_back,
    untold_check,
)

LIMIT = math.log(8000)


SMALL = Excess(0.02, 0.0, 0.004, 0.99, 1.0)


def guard(
    name: str = "errors", *, tripped: bool = False, blocks: int = 40, shifted: bool = False, excess: Excess = SMALL
) -> GuardSeen:
    log_e, told = LIMIT + 1 if tripped else 0.5, "20 of 1,000 bad"
    return GuardSeen(name, log_e, LIMIT, tripped, 20, 1000, blocks, 17, told, excess, 0.005, "error_margin", shifted)


def test_a_guard_that_had_time_to_trip_and_did_not_passes() -> None:
    check = guard_check(guard(), ended_early=False)
    assert check.status is Status.PASS
    assert check.limit == 8000
    assert check.observed == pytest.approx(math.exp(0.5), abs=1e-3)
    assert "2.00% (1." in check.evidence


@pytest.mark.parametrize(
    ("upper", "factor", "status", "settle"),
    [
        (0.0049, 1.0, Status.PASS, ""),
        (0.005, 1.4, Status.INCONCLUSIVE, "about 1.4 times as many answers"),
        (0.05, None, Status.INCONCLUSIVE, "a longer run"),
        (None, None, Status.INCONCLUSIVE, "answers of both"),
    ],
)
def test_a_quiet_guard_passes_only_what_is_shown_to_be_tolerable(
    upper: float | None, factor: float | None, status: Status, settle: str
) -> None:
    check = guard_check(guard(excess=Excess(0.0, 0.0, upper, 0.99, factor)), ended_early=False)
    assert check.status is status
    assert settle in check.settle
    assert "0.50% is tolerated (error_margin)" in check.evidence


def test_the_error_rate_is_given_out_once() -> None:
    parts = [GUARDS] + 6 * [OTHERS]
    assert sum(parts) == pytest.approx(1.0)  # split, assignment, three switches, the SLO


@pytest.mark.parametrize(("blocks", "early", "status"), [(16, False, Status.INCONCLUSIVE), (17, False, Status.PASS),
                                                         (40, True, Status.INCONCLUSIVE)])  # fmt: skip
def test_one_that_could_not_have_tripped_shows_nothing(blocks: int, early: bool, status: Status) -> None:
    check = guard_check(guard(blocks=blocks), ended_early=early)
    assert check.status is status
    assert bool(check.settle) is (status is Status.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("name", "shifted", "cause"),
    [
        ("errors", False, "canary-errors"),
        ("wrong-answers", False, "wrong-predictions"),
        ("predictions", False, "wrong-predictions"),
        ("version", False, "wrong-version"),
        ("slower-tail", False, "canary-slow-tail"),
        ("slower-p99", True, "canary-slower"),
    ],
)
def test_a_guard_that_tripped_names_its_cause(name: str, shifted: bool, cause: str) -> None:
    check = guard_check(guard(name, tripped=True, shifted=shifted), ended_early=True)
    assert (check.status, check.cause) == (Status.FAIL, cause)


def test_no_data_in_a_group_or_too_few_stages_is_no_pass() -> None:
    assert data_check({"5%": (10, 2), "25%": (10, 4)}, planned=2, ended="").status is Status.PASS
    assert data_check({"5%": (10, 0)}, planned=1, ended="").status is Status.INCONCLUSIVE
    assert data_check({"5%": (10, 2)}, planned=2, ended="").status is Status.INCONCLUSIVE
    assert data_check({"5%": (10, 2)}, planned=1, ended="Ctrl-C").status is Status.INCONCLUSIVE
    assert untold_check(5, 10).status is Status.INCONCLUSIVE


def test_a_canary_that_is_down_fails() -> None:
    assert down_check(tripped=True, told="it died").cause == "canary-down"
    assert down_check(tripped=False, told="").status is Status.PASS


def test_the_stages_share_the_chance_to_call_a_split_wrong() -> None:
    near = math.log(3 / 0.001)
    one = (SplitSeen(0.5, 1000, 560, near),)
    assert split_check(one, alpha=0.001, by_users=True).status is Status.FAIL
    four = (*one, *(SplitSeen(0.5, 1000, 500, 0.0),) * 3)
    assert split_check(four, alpha=0.001, by_users=True).status is Status.PASS
    assert split_check((), alpha=0.001, by_users=False).status is Status.INCONCLUSIVE


@pytest.mark.parametrize(("units", "status"), [(1, Status.INCONCLUSIVE), (9, Status.INCONCLUSIVE), (10, Status.PASS)])
def test_a_split_of_so_few_that_nothing_could_fail_is_open(units: int, status: Status) -> None:
    check = split_check((SplitSeen(0.5, units, units // 2, 0.0),), alpha=0.001, by_users=True)
    assert check.status is status
    assert bool(check.settle) is (status is Status.INCONCLUSIVE)


def test_users_on_both_sides_fail_beyond_a_slip() -> None:
    assert assignment_check(1, 1000, 0, 500, alpha=0.001).status is Status.PASS
    found = assignment_check(30, 1000, 0, 500, alpha=0.001)
    assert (found.status, found.cause) == (Status.FAIL, "unstable-assignment")
    assert assignment_check(0, 1000, 40, 500, alpha=0.001).status is Status.FAIL
    assert assignment_check(0, 0, 0, 0, alpha=0.001).status is Status.INCONCLUSIVE
    assert assignment_check(0, 1, 0, 0, alpha=0.001).status is Status.INCONCLUSIVE
    assert assignment_check(0, 2, 0, 0, alpha=0.001).status is Status.PASS


@pytest.mark.parametrize(
    ("in_flight", "lost", "routed", "ended", "status"),
    [
        (10, 0, False, True, Status.PASS),
        (10, 1, False, True, Status.INCONCLUSIVE),
        (10, 2, False, True, Status.FAIL),
        (1, 0, False, True, Status.INCONCLUSIVE),
        (2, 0, False, True, Status.PASS),
        (0, 0, True, True, Status.PASS),
        (500, 1, False, False, Status.PASS),
        (500, 9, False, False, Status.FAIL),
        (0, 0, False, False, Status.INCONCLUSIVE),
        (1, 0, False, False, Status.INCONCLUSIVE),
        (2, 0, False, False, Status.PASS),
    ],
)
def test_what_a_switch_may_lose(in_flight: int, lost: int, routed: bool, ended: bool, status: Status) -> None:
    check = switch_check(Switch("x", in_flight, lost, routed), alpha=0.001, ended=ended)
    assert check.status is status
    assert (check.cause == "dropped-in-flight") is (status is Status.FAIL and ended)


@pytest.mark.parametrize("tolerated", [0.001, 0.01, 0.2, 0.4])
def test_the_answers_it_takes_are_those_that_trip(tolerated: float) -> None:
    limit = threshold(8, 0.001)
    needed = answers_to_trip(limit, tolerated)
    ones = np.ones(needed, np.int64)
    assert share_path(ones, ones, tolerated)[-1] >= limit
    assert share_path(ones[:-1], ones[:-1], tolerated)[-1] < limit


def test_what_was_taken_back_never_passes_and_is_not_blamed_twice() -> None:
    passed = assignment_check(0, 1000, 0, 0, alpha=0.001)
    assert [check.status for check in taken_back([passed])] == [Status.FAIL]
    assert not taken_back([passed, assignment_check(30, 1000, 0, 0, alpha=0.001)])


def test_the_checks_of_a_rollout_report_what_was_seen() -> None:
    switched = switch_check(Switch("x", 200, 10, routed=False), alpha=0.001, ended=False)
    assert switched.observed == 0.05
    assert switched.interval.low is not None
    assert switched.interval.low < 0.05 < (switched.interval.high or 0.0)
    assert switch_check(Switch("x", 0, 0, routed=True), alpha=0.001, ended=True).observed is None
    assert assignment_check(30, 1000, 0, 500, alpha=0.001).observed == 0.03
    assert untold_check(5, 10).observed == 0.5
    data = data_check({"5%": (10, 2)}, planned=2, ended="")
    assert (data.observed, data.limit) == (1.0, 2.0)
    split = split_check((SplitSeen(0.5, 1000, 560, 1.0), SplitSeen(0.25, 400, 90, 2.0)), alpha=0.001, by_users=True)
    assert (split.observed, split.limit) == (0.225, 0.25)  # the stage that speaks loudest
    assert "50%: 560 of 1,000 users; 25%: 90 of 400 users" in split.evidence
    assert "Largest e-value 7.39 of 2,000" in split.evidence


def test_both_ways_to_wander_share_the_error_rate() -> None:
    for count in range(8):
        failed = too_many(count, 500, tolerated=0.001, alpha=0.0005)
        assert (assignment_check(count, 500, 0, 0, alpha=0.001).status is Status.FAIL) is failed
        assert (assignment_check(0, 9, count, 500, alpha=0.001).status is Status.FAIL) is failed


@pytest.mark.parametrize(
    ("guard", "spells", "expected"),
    [
        ("errors", True, (0.1, "error_margin")),
        ("wrong-answers", True, (0.1, "error_margin")),
        ("predictions", True, (0.4, "disagreement")),
        ("version", False, (0.4, "disagreement")),
        ("slower-p50", True, (0.3, "slower_margin")),
        ("slower-p99", True, (0.2, "tail_margin")),
        ("slower-tail", True, (0.2, "tail_margin")),
        ("slower-p99", False, (0.3, "slower_margin")),
    ],
)
def test_each_guard_has_the_margin_of_its_key(guard: str, spells: bool, expected: tuple[float, str]) -> None:
    assert Tolerances(errors=0.1, tail=0.2, slower=0.3, disagreement=0.4).of(guard, spells=spells) == expected
