"""Guards fed with requests: what each calls bad, in which blocks, and when it trips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload.analysis.frozen_baseline import Reference, freeze
from proofload.analysis.guard_margins import excesses
from proofload.analysis.guard_rules import (
    DOWN,
    ERRORS,
    PREDICTIONS,
    SLOWER,
    UNTOLD,
    VERSION,
    WRONG,
    Rules,
    by_stamp,
    own_requests,
    pairs,
    stamps,
)
from proofload.analysis.guards import GuardWatch
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import SAMPLE_DTYPE, Agreement, Outcome, Samples

RULES = Rules(alpha=0.001)
NO_REFERENCE = Reference(dict.fromkeys(SLOWER, 10 * NS_PER_MS), {}, {}, (), 0)
NOBODY = np.zeros(0, np.int64)


def rows(start_s: float = 0.0, seconds: float = 1.0, each: int = 20, **columns: Any) -> NDArray[np.void]:
    """Evenly due requests, by turns to the baseline and the canary, answered well after 5 ms."""
    n = round(seconds * each)
    table = np.zeros(n, SAMPLE_DTYPE)
    table["seq"] = np.arange(n)
    table["payload"] = np.arange(n)
    table["arm"] = np.arange(n) % 2
    table["intended_ns"] = round(start_s * NS_PER_S) + np.arange(n) * NS_PER_S // each
    table["outcome"] = Outcome.OK
    for name, value in columns.items():
        if name != "took_ms":
            table[name] = value
    table["done_ns"] = table["intended_ns"] + np.asarray(columns.get("took_ms", 5.0) * np.ones(n) * NS_PER_MS, np.int64)
    return table


def watched(table: NDArray[np.void], rules: Rules = RULES, reference: Reference = NO_REFERENCE,
            users: NDArray[np.int64] = NOBODY) -> GuardWatch:  # fmt: skip
    watch = GuardWatch(rules, reference, users)
    watch.begin(0)
    watch.add(Samples(table))
    watch.close()
    return watch


def to_canary(outcome: Outcome, n: int, otherwise: Outcome = Outcome.OK) -> NDArray[np.uint8]:
    return np.where(np.arange(n) % 2 == 1, outcome, otherwise).astype(np.uint8)


def test_a_canary_that_fails_trips_the_guard_on_errors_alone_when_chance_no_longer_explains_it() -> None:
    watch = watched(rows(seconds=41, outcome=to_canary(Outcome.ERROR, 41 * 20)))
    tripped = watch.tripped()
    assert set(tripped) == {ERRORS, DOWN}  # it answers nothing at all
    assert tripped[DOWN] == 2  # three blocks
    path = watch.paths()[ERRORS]
    assert path[tripped[ERRORS]] >= RULES.limit > path[tripped[ERRORS] - 1]
    assert watch.blocks[0].matches[ERRORS].canary == 10
    assert (watch.blocks[0].sent, watch.blocks[0].answered, watch.blocks[0].baseline_answers) == (10, 0, 1.0)


def test_a_canary_that_does_as_well_or_better_trips_nothing() -> None:
    assert watched(rows(seconds=41)).tripped() == {}
    better = watched(rows(seconds=41, outcome=to_canary(Outcome.OK, 41 * 20, Outcome.ERROR)))
    assert better.tripped() == {}
    assert better.blocks[0].matches[ERRORS].sign == -1


@pytest.mark.parametrize(
    ("outcome", "took_ms", "guards"),
    [
        (Outcome.SHED, 5.0, {ERRORS}),
        (Outcome.OK, 10.0, set()),
        (Outcome.OK, 11.0, set(SLOWER)),
        (Outcome.LATE, 11.0, set(SLOWER)),
        (Outcome.TIMEOUT, 5.0, {ERRORS, *SLOWER}),
        (Outcome.ERROR, 50.0, {ERRORS}),  # one that fails late is no slow answer
        (Outcome.WRONG, 5.0, {WRONG}),
    ],
)
def test_what_each_guard_calls_bad(outcome: Outcome, took_ms: float, guards: set[str]) -> None:
    took = np.where(np.arange(21) % 2 == 1, took_ms, 5.0)
    table = rows(seconds=1.05, outcome=to_canary(outcome, 21), took_ms=took)
    (block,) = watched(table, Rules(0.001, answers_checked=True)).blocks
    assert {guard for guard, match in block.matches.items() if match.sign == 1} == guards
    assert not any(match.sign == -1 for match in block.matches.values())


def test_blocks_are_counted_when_whole_and_within_one_window() -> None:
    watch = GuardWatch(RULES, NO_REFERENCE, NOBODY)
    watch.begin(0)
    assert not watch.add(Samples(rows(seconds=0.9)))
    assert watch.add(Samples(rows(start_s=0.9, seconds=1.6)))
    assert [block.start_ns for block in watch.blocks] == [0, NS_PER_S]
    watch.begin(round(2.5 * NS_PER_S))  # the half block before it counts for nothing
    watch.add(Samples(rows(start_s=2.5, seconds=2.0)))
    watch.end(round(4.5 * NS_PER_S))
    watch.add(Samples(rows(start_s=4.5, seconds=3.0)))
    watch.close()
    assert [(block.window, block.start_ns / NS_PER_S) for block in watch.blocks] == [(0, 0), (0, 1), (1, 2.5), (1, 3.5)]
    assert [block.matches[ERRORS].size for block in watch.blocks] == [10] * 4


def test_a_block_waits_for_the_slowest_worker() -> None:
    watch = GuardWatch(RULES, NO_REFERENCE, NOBODY, workers=2)
    watch.begin(0)
    assert not watch.add(Samples(rows(seconds=3, worker=0)))
    assert watch.add(Samples(rows(seconds=1.5, worker=1)))
    assert len(watch.blocks) == 1
    assert watch.blocks[0].matches[ERRORS].size == 20  # of both workers
    watch.close()
    assert len(watch.blocks) == 2


def test_each_stage_bets_anew_from_the_block_it_begins_with() -> None:
    rules = Rules(0.001, stages=3)
    watch = GuardWatch(rules, NO_REFERENCE, NOBODY)
    watch.begin(0)
    watch.add(Samples(rows(seconds=30.05)))
    watch.begin(30 * NS_PER_S)
    bad = rows(start_s=30, seconds=30.05)
    bad["outcome"] = to_canary(Outcome.ERROR, len(bad))
    watch.add(Samples(bad))
    watch.close()
    assert watch.starts() == [0, 30, 60]
    assert watch.tripped()[ERRORS] < 50  # thirty harmless blocks hide nothing


def test_a_canary_is_down_only_if_it_was_asked_often_enough_and_the_baseline_answered() -> None:
    silent = to_canary(Outcome.TIMEOUT, 82)
    assert watched(rows(seconds=41, each=2, outcome=silent)).tripped()[DOWN] == 5  # six requests, one a second
    both = np.full(82, Outcome.TIMEOUT, np.uint8)
    assert DOWN not in watched(rows(seconds=41, each=2, outcome=both)).tripped()
    once = rows(seconds=5.05, outcome=to_canary(Outcome.ERROR, 101))
    once["outcome"][[21, 61]] = Outcome.OK  # it answers in every other block
    once["outcome"][[25, 65]] = Outcome.OK
    assert DOWN not in watched(once).tripped()
    idle = rows(seconds=6.05, outcome=to_canary(Outcome.ERROR, 121))
    idle["arm"][(np.arange(121) >= 20) & (np.arange(121) < 40)] = 0  # nothing was asked of it in the second block
    assert watched(idle).tripped()[DOWN] == 3


def test_copies_requests_never_sent_and_those_forced_or_untold_are_not_chance_s() -> None:
    table = rows(each=6)
    table["mirror"][0] = 1
    table["outcome"][1] = Outcome.UNSENT
    table["arm"][2] = UNTOLD
    assert own_requests(table, (3,))["payload"].tolist() == [4, 5]
    assert own_requests(table)["payload"].tolist() == [3, 4, 5]


def test_stamps_tell_the_arm_where_they_differ() -> None:
    table = rows(each=6)
    table["arm"] = 0
    table["version"] = [7, 8, 9, 0, 8, 8]
    table["mirror"][5] = 1
    assert by_stamp(table, (7, 8))["arm"].tolist() == [0, 1, UNTOLD, UNTOLD, 1, 0]  # a copy keeps its own
    for unknown in ((None, 8), (7, None), (8, 8)):
        assert by_stamp(table, unknown)["arm"].tolist() == [UNTOLD] * 5 + [0]
    assert table["arm"].tolist() == [0] * 6


def test_pairs_are_originals_of_the_baseline_with_compared_copies() -> None:
    originals = rows(each=6, arm=0)
    originals["arm"][5] = 1
    originals["phase"][4] = 1
    copies = rows(each=6, arm=1, mirror=1)
    copies["agrees"] = [
        Agreement.SAME, Agreement.DIFFERENT, Agreement.NOT_COMPARED, Agreement.SAME, Agreement.DIFFERENT, Agreement.SAME
    ]  # fmt: skip
    assert pairs(np.concatenate([originals, copies])) == (1, 3)  # 4 is of another phase, 5 of the canary
    assert pairs(originals) == (0, 0)
    answers = rows(each=4, version=[3, 3, 4, 0])
    assert stamps(answers, 3) == (2, 4)
    assert stamps(answers, None) == (0, 0)


def test_disagreement_and_stamps_have_guards_of_their_own() -> None:
    own = rows(seconds=20.05, version=to_canary(Outcome(4), 401, Outcome(3)))
    copies = rows(seconds=20.05, arm=1, mirror=1, agrees=Agreement.SAME)
    rules = Rules(0.001, mirrored=True, versions=(3, 4))
    calm = watched(np.concatenate([own, copies]), rules)
    assert calm.tripped() == {}
    assert (calm.blocks[0].counts[PREDICTIONS], calm.blocks[0].counts[VERSION]) == ((0, 10), (0, 10))
    copies["agrees"] = Agreement.DIFFERENT
    assert set(watched(np.concatenate([own, copies]), rules).tripped()) == {PREDICTIONS}
    own["version"] = 3
    assert set(watched(own, rules).tripped()) == {VERSION}


def test_an_answer_of_the_wrong_version_is_no_wrong_answer_besides() -> None:
    rules = Rules(0.001, answers_checked=True, versions=(3, 4))
    stray = rows(seconds=20.05, version=3, outcome=to_canary(Outcome.WRONG, 401))
    assert set(watched(stray, rules).tripped()) == {VERSION}
    stray["version"] = to_canary(Outcome(4), 401, Outcome(3))
    assert set(watched(stray, rules).tripped()) == {WRONG}


def test_a_user_whom_everything_fails_is_counted_once() -> None:
    table = rows(seconds=20.05)
    table["payload"] = np.arange(len(table)) % 20
    users = np.arange(20)
    table["outcome"][table["payload"] == 1] = Outcome.ERROR
    known = watched(table, users=users)
    assert [block.matches[ERRORS].canary for block in known.blocks][:4] == [1, 0, 0, 0]
    unknown = watched(table, users=np.full(20, -1))
    assert [block.matches[ERRORS].canary for block in unknown.blocks][:4] == [1, 1, 1, 1]
    slow = watched(rows(seconds=20.05, payload=1, took_ms=np.where(np.arange(401) % 2 == 1, 50.0, 5.0)), users=users)
    assert slow.blocks[3].matches["slower-p50"].canary == 10  # a server's slowness is nobody's own


def test_what_was_answered_well_before_counts_twice_more() -> None:
    table = rows(seconds=20.05)
    table["payload"] = np.arange(len(table)) % 20
    late = (table["payload"] == 1) & (table["intended_ns"] >= 5 * NS_PER_S)
    table["outcome"][late] = Outcome.ERROR
    blocks = watched(table, users=np.arange(20)).blocks
    assert [block.matches[ERRORS].canary for block in blocks][4:10] == [0, 1, 1, 1, 0, 0]


def frozen(rules: Rules = RULES, users: NDArray[np.int64] = NOBODY, **columns: Any) -> Reference:
    return freeze(Samples(rows(seconds=20, each=50, arm=0, **columns)), rules, users)


def test_the_thresholds_are_the_first_half_s_quantiles_and_something_more() -> None:
    took = np.where(np.arange(1000) < 500, (np.arange(1000) % 500 + 1) / 10, 400.0)  # 0.1 … 50 ms, then 400
    found = frozen(took_ms=took)
    first = took[:500]
    for guard, q in SLOWER.items():
        times = 3.0 if guard == "slower-tail" else 1.2
        assert found.slower_ns[guard] == pytest.approx((np.quantile(first, q) * times + 1.0) * NS_PER_MS, rel=1e-6)
    assert found.answers == 1000
    assert len(found.blocks) == 9  # of the second half; the last one may not be whole
    assert [len(flags) for flags in found.blocks[0].values()] == [50] * 4
    assert found.blocks[0]["slower-p50"].all()


def test_without_answers_nothing_is_frozen() -> None:
    assert frozen(outcome=Outcome.ERROR) == Reference({}, {}, {}, (), 0)
    assert frozen(mirror=1) == Reference({}, {}, {}, (), 0)


def test_those_whom_the_baseline_failed_anyway_are_left_out_and_what_it_answered_is_proven() -> None:
    users = np.arange(50) % 25
    payload = np.arange(1000) % 50
    outcome = np.where(users[payload] == 7, Outcome.ERROR, Outcome.OK)
    found = frozen(users=users, payload=payload, outcome=outcome)
    assert np.flatnonzero(found.usual[ERRORS]).tolist() == [7]
    assert np.flatnonzero(~found.proven[ERRORS]).tolist() == [7, 32]
    table = rows(seconds=5.05)
    table["payload"] = 7
    table["outcome"] = to_canary(Outcome.ERROR, len(table))
    assert [block.matches[ERRORS].size for block in watched(table, reference=found, users=users).blocks] == [0] * 5


def test_a_canary_with_most_of_the_load_is_compared_with_the_baseline_at_full_load_besides() -> None:
    always = ({guard: np.ones(50, np.bool_) for guard in SLOWER},)
    reference = Reference(dict.fromkeys(SLOWER, 10 * NS_PER_MS), {}, {}, always, 0)
    table = rows(each=20)
    slow = np.where(table["arm"] == 1, 20, 5) * NS_PER_MS
    table["done_ns"] = table["intended_ns"] + slow
    assert watched(np.concatenate([table, rows(1.0)]), reference=reference).blocks[0].matches["slower-p50"].sign == 1
    table["arm"] = np.arange(20) % 4 != 0
    table["done_ns"] = table["intended_ns"] + np.where(table["arm"] == 1, 20, 5) * NS_PER_MS
    loaded = watched(np.concatenate([table, rows(1.0)]), reference=reference).blocks[0]
    assert loaded.matches["slower-p50"].sign == 0  # as slow as the baseline was with so much
    assert loaded.matches["slower-p50"].size == 5


def margins_of(table: NDArray[np.void], rules: Rules = RULES, users: NDArray[np.int64] = NOBODY,
               reference: Reference = NO_REFERENCE) -> dict[str, Any]:  # fmt: skip
    watch = watched(table, rules, reference, users)
    margins = dict.fromkeys((*rules.sign_guards, *rules.share_guards), 0.05)
    return excesses(watch, own_requests(table), margins, 0.99, longest=0.2)


def test_the_margin_of_each_guard_is_taken_over_the_blocks_that_were_counted() -> None:
    table = rows(seconds=40.5, each=100)
    canary = table["arm"] == 1
    table["outcome"][canary & (np.arange(len(table)) % 10 == 1)] = Outcome.ERROR  # one of five
    slow = canary & (np.arange(len(table)) % 20 == 3)  # one of ten
    table["done_ns"][slow] += 20 * NS_PER_MS
    table["outcome"][table["intended_ns"] >= 40 * NS_PER_S] = Outcome.ERROR  # in no whole block
    found = margins_of(table)
    assert (found[ERRORS].canary, found[ERRORS].baseline) == (pytest.approx(0.2), 0.0)
    assert found["slower-p50"].canary == pytest.approx(0.1 / 0.8)  # of the answers
    assert 0.2 < found[ERRORS].upper < 0.25
    assert set(found) == set(RULES.sign_guards)


def test_latency_is_compared_where_the_canary_had_no_more_of_the_load() -> None:
    calm, heavy = rows(seconds=20.05, each=100), rows(start_s=20.05, seconds=20.05, each=100)
    heavy["arm"] = np.arange(len(heavy)) % 4 != 0
    heavy["done_ns"][heavy["arm"] == 1] += 20 * NS_PER_MS
    heavy["outcome"][heavy["arm"] == 1] = Outcome.LATE
    table = np.concatenate([calm, heavy])
    watch = GuardWatch(RULES, NO_REFERENCE, NOBODY)
    watch.begin(0)
    watch.begin(round(20.05 * NS_PER_S))
    watch.add(Samples(table))
    watch.close()
    found = excesses(watch, table, {"slower-p50": 0.05, ERRORS: 0.05}, 0.99, longest=0.2)
    assert found["slower-p50"].canary == 0.0
    only = excesses(watch, heavy, {"slower-p50": 0.05}, 0.99, longest=0.2)
    assert only["slower-p50"].canary == pytest.approx(1.0)  # there is no other stage


def test_without_a_block_no_margin_is_known_and_pairs_have_one_of_their_own() -> None:
    rules = Rules(0.001, mirrored=True)
    none = margins_of(rows(seconds=0.5), rules)
    assert {one.upper for one in none.values()} == {None}
    copies = rows(seconds=20.05, each=100, arm=1, mirror=1, agrees=Agreement.SAME)
    copies["agrees"][::50] = Agreement.DIFFERENT
    table = np.concatenate([rows(seconds=20.05, each=100), copies])
    assert margins_of(table, rules)[PREDICTIONS].canary == pytest.approx(0.04)  # half the originals are the canary's


def test_users_whom_the_baseline_always_failed_are_in_no_margin() -> None:
    usual = {guard: np.array([False, True]) for guard in (ERRORS, *SLOWER)}
    reference = Reference(dict.fromkeys(SLOWER, 10 * NS_PER_MS), usual, {}, (), 0)
    table = rows(seconds=20.05, each=100)
    users = (np.arange(len(table)) % 10 == 1).astype(np.int64)
    table["outcome"][users == 1] = Outcome.ERROR
    found = margins_of(table, users=users, reference=reference)
    assert found[ERRORS].canary == 0.0


def test_requests_before_the_first_block_are_in_no_margin() -> None:
    table = rows(seconds=3.05, each=100)
    failed = (table["arm"] == 1) & (table["intended_ns"] < 2 * NS_PER_S)
    table["outcome"][failed] = Outcome.ERROR
    watch = GuardWatch(RULES, NO_REFERENCE, NOBODY)
    watch.begin(NS_PER_S)
    watch.add(Samples(table))
    watch.close()
    assert excesses(watch, table, {ERRORS: 0.05}, 0.99, longest=0.2)[ERRORS].canary == pytest.approx(0.5)


def test_blocks_of_full_load_leave_out_whom_the_baseline_always_served_slowly_and_keep_the_unknown() -> None:
    payload = np.arange(1000) % 50
    users = np.arange(50) % 25 - 1  # two payloads of each; the first are of nobody known
    slow = np.isin(users[payload], (0, 23))
    found = frozen(users=users, payload=payload, took_ms=np.where(slow, 400.0, 5.0))
    assert np.flatnonzero(found.usual["slower-p50"]).tolist() == [0, 23]
    assert [len(block["slower-p50"]) for block in found.blocks] == [46] * 9


def test_the_guards_share_the_chance_to_trip() -> None:
    assert Rules(0.001).limit == pytest.approx(np.log(5 / 0.001))
    every = Rules(0.001, mirrored=True, answers_checked=True, versions=(3, 4))
    assert every.limit == pytest.approx(np.log(8 / 0.001))


def test_a_canary_alone_is_compared_with_nobody() -> None:
    failing = rows(seconds=10.05, arm=1, outcome=Outcome.ERROR)
    watch = watched(failing)
    assert watch.tripped() == {}
    assert (watch.blocks[0].sent, watch.blocks[0].baseline_answers) == (20, 0.0)
