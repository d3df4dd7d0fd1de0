"""From counts of messages to checks: what each guarantee allows, and what was not shown never passes."""

from __future__ import annotations

import numpy as np
import pytest

from proofload.analysis.delivery import PhaseDelivery
from proofload.clock import NS_PER_S
from proofload.records import Status
from proofload.verdict.delivery import Stretch, duplicated, lost, reordered, rows_needed, share_bounds

SHARE = 0.001
MANY = 4000


def stretch(
    what: str = "",
    *,
    sent: int = MANY,
    lost: int = 0,
    waiting: int = 0,
    repeated_s: tuple[float, ...] = (),
    duplicated: int | None = None,
    reordered: int | None = 0,
    under_way: int | None = None,
) -> Stretch:
    """`repeated_s`: how long before the handover the repeated messages had been answered first."""
    at = 100 * NS_PER_S
    return Stretch(
        name=what or "steady",
        delivery=PhaseDelivery(
            phase=0,
            sent=sent,
            answered=sent - lost - waiting,
            lost=lost,
            waiting=waiting,
            duplicated=len(repeated_s) if duplicated is None else duplicated,
            reordered=reordered,
            repeated_ns=np.array([at - round(seconds * NS_PER_S) for seconds in repeated_s], dtype=np.int64),
        ),
        what=what,
        disturbed_ns=at if what else 0,
        reach_s={"restart": 1.0, "kill": 5.0}.get(what, 0.0),
        under_way=under_way if under_way is not None else (7 if what else None),
    )


def test_one_lost_message_fails_and_names_where_it_went() -> None:
    check = lost([stretch(), stretch("kill", lost=1)], "at-least-once", share=SHARE)
    assert (check.status, check.cause, check.observed) == (Status.FAIL, "lost-messages", 1)
    assert "kill: 1" in check.evidence


def test_a_kill_may_take_messages_only_at_most_once() -> None:
    history = [stretch(), stretch("kill", lost=9)]
    assert lost(history, "at-most-once", share=SHARE).status is Status.PASS
    assert lost(history, "exactly-once", share=SHARE).status is Status.FAIL
    assert lost([stretch(), stretch("restart", lost=1)], "at-most-once", share=SHARE).status is Status.FAIL


def test_messages_that_still_wait_settle_nothing() -> None:
    check = lost([stretch(), stretch("kill", waiting=2)], "at-least-once", share=SHARE)
    assert check.status is Status.INCONCLUSIVE
    assert "drain_s" in check.settle


def test_a_kill_that_hit_nothing_shows_nothing() -> None:
    check = lost([stretch(), stretch("kill", under_way=0)], "at-least-once", share=SHARE)
    assert check.status is Status.INCONCLUSIVE


def test_one_kill_that_hit_something_makes_up_for_others_that_did_not() -> None:
    kills = [stretch("kill", under_way=0), stretch("kill", under_way=5)]
    assert lost([stretch(), *kills], "at-least-once", share=SHARE).status is Status.PASS


def test_too_few_messages_rule_nothing_out() -> None:
    few = rows_needed(SHARE) - 1
    for check in (
        lost([stretch(sent=few)], "at-least-once", share=SHARE),
        duplicated([stretch(sent=few)], "at-least-once", share=SHARE),
        reordered([stretch(sent=few)], share=SHARE),
    ):
        assert check.status is Status.INCONCLUSIVE
        assert "1 more messages" in check.settle
    assert lost([stretch(sent=few + 1)], "at-least-once", share=SHARE).status is Status.PASS


def test_what_is_still_needed_is_the_difference() -> None:
    assert lost([stretch(sent=95)], "at-least-once", share=SHARE).settle == "2,900 more messages"


def test_the_rows_needed_are_those_of_the_exact_bound() -> None:
    assert rows_needed(0.01) == 299
    assert rows_needed(0.001) == 2995
    for share in (0.01, 0.001):
        assert share_bounds(0, rows_needed(share))[1] <= share
        assert share_bounds(0, rows_needed(share) - 1)[1] > share


def test_a_handover_may_repeat_what_lies_within_reach_and_nothing_older() -> None:
    within = [stretch(), stretch("restart", repeated_s=(0.2, 0.9, 1.0)), stretch("kill", repeated_s=(4.9, 0.1, 0.0))]
    assert duplicated(within, "at-least-once", share=SHARE).status is Status.PASS
    repeated = (1.1,) * 20 + (0.5,) * 30
    check = duplicated([stretch(), stretch("restart", repeated_s=repeated)], "at-least-once", share=SHARE)
    assert (check.status, check.cause, check.observed) == (Status.FAIL, "duplicated-messages", 20)
    assert "restart: 20" in check.evidence


def test_a_few_older_ones_are_no_handovers_doing_and_settle_nothing() -> None:
    history = [stretch(), stretch("restart", repeated_s=(3.0, 0.5))]
    assert duplicated(history, "at-least-once", share=SHARE).status is Status.PASS  # 1 of 8,000
    assert duplicated([stretch("restart", repeated_s=(3.0,))], "at-least-once", share=SHARE).status is (
        Status.INCONCLUSIVE
    )


def test_surplus_answers_that_cannot_be_placed_count_as_beyond_reach() -> None:
    history = [stretch(), stretch("kill", repeated_s=(0.1,), duplicated=3)]
    assert duplicated(history, "at-least-once", share=SHARE).observed == 2


def test_undisturbed_a_share_of_surplus_answers_is_tolerated_and_no_more() -> None:
    def judged(count: int, sent: int = MANY) -> Status:
        return duplicated([stretch(sent=sent, duplicated=count)], "at-least-once", share=SHARE).status

    assert judged(0) is Status.PASS
    assert judged(20) is Status.FAIL
    assert judged(4) is Status.INCONCLUSIVE
    assert judged(4, sent=20_000) is Status.PASS


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-most-once"])
def test_other_guarantees_allow_no_second_answer(guarantee: str) -> None:
    history = [stretch(), stretch("kill", repeated_s=(0.0,))]
    check = duplicated(history, guarantee, share=SHARE)  # type: ignore[arg-type]  # one of them
    assert check.status is Status.FAIL
    assert duplicated([stretch(), stretch("kill")], guarantee, share=SHARE).status is Status.PASS  # type: ignore[arg-type]


def test_one_overtaken_answer_fails_and_without_keys_nothing_is_known() -> None:
    check = reordered([stretch(), stretch("restart", reordered=1)], share=SHARE)
    assert (check.status, check.cause) == (Status.FAIL, "reordered-messages")
    assert reordered([stretch(reordered=None)], share=SHARE).status is Status.INCONCLUSIVE


def test_a_handover_is_where_the_answers_paused_if_they_did() -> None:
    found = stretch("restart", repeated_s=(0.5,))
    assert found.handover_ns == 100 * NS_PER_S
    paused = Stretch(
        "restart",
        PhaseDelivery(0, sent=9, duplicated=1, repeated_ns=np.array([99 * NS_PER_S]),
                      stood_still_s=3.0, stopped_ns=101 * NS_PER_S),
        "restart", 100 * NS_PER_S, 1.0,
    )  # fmt: skip
    assert paused.handover_ns == 101 * NS_PER_S
    assert paused.beyond_reach == 1
