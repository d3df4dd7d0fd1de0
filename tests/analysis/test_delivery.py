"""Histories of messages, built by hand: what is lost, waiting, late, surplus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload.analysis.delivery import Account, PhaseDelivery, accounts, deliveries
from proofload.records import SAMPLE_DTYPE, Event, Outcome

OK, GAVE_UP, ERROR, UNSENT = Outcome.OK, Outcome.TIMEOUT, Outcome.ERROR, Outcome.UNSENT
MS = 1_000_000


def sent(outcomes: Sequence[Outcome], *, payloads: Sequence[int] = (), worker: int = 0, at_ms: int = 0) -> NDArray[Any]:
    """One message a millisecond, answered 2 ms later, in the order of sending."""
    table = np.zeros(len(outcomes), SAMPLE_DTYPE)
    table["outcome"] = outcomes
    table["payload"] = payloads or [0] * len(outcomes)
    table["worker"] = worker
    table["status"] = -1
    table["intended_ns"] = (at_ms + 1 + np.arange(len(outcomes))) * MS
    table["sent_ns"] = np.where(table["outcome"] == UNSENT, 0, table["intended_ns"])
    table["done_ns"] = np.where(table["outcome"] == UNSENT, 0, table["sent_ns"] + 2 * MS)
    return table


def only(table: NDArray[Any], *told: Account, keys: int = 1) -> PhaseDelivery:
    (found,) = deliveries([(0, 0, table)], told, keys=keys)
    return found


def told(t_ms: int, kind: str, *rows: int, worker: int = 0, uncounted: int = 0) -> Account:
    spans = {kind: [(row, row) for row in rows]}
    return Account(t_ms * MS, worker, {kind: len(rows) + uncounted}, spans)


def test_what_was_passed_over_is_lost() -> None:
    found = only(sent([OK, GAVE_UP, OK]))
    assert (found.sent, found.answered, found.lost, found.waiting) == (3, 2, 1, 0)
    assert found.lost_rows == ((0, 1),)
    assert found.lost_ns.tolist() == [2 * MS]


def test_what_nothing_overtook_is_waiting_and_not_lost() -> None:
    found = only(sent([OK, GAVE_UP, GAVE_UP]))
    assert (found.lost, found.waiting) == (0, 2)


def test_only_messages_of_the_same_key_tell_that_one_was_passed_over() -> None:
    found = only(sent([GAVE_UP, OK, OK], payloads=[0, 1, 3]), keys=2)
    assert (found.lost, found.waiting) == (0, 1)
    found = only(sent([GAVE_UP, OK, OK], payloads=[0, 1, 2]), keys=2)
    assert (found.lost, found.waiting) == (1, 0)


def test_without_keys_any_later_answer_tells_and_no_order_is_known() -> None:
    found = only(sent([GAVE_UP, OK], payloads=[0, 1]), keys=0)
    assert found.lost == 1
    assert found.reordered is None
    assert found.counts == {"lost": 1, "duplicated": 0}


def test_an_answer_after_the_client_gave_up_is_late_and_not_lost() -> None:
    found = only(sent([OK, GAVE_UP, OK]), told(900, "late", 1))
    assert (found.late, found.lost, found.answered) == (1, 0, 3)


def test_a_late_answer_passes_over_what_was_sent_before_it() -> None:
    found = only(sent([GAVE_UP, GAVE_UP]), told(900, "late", 1))
    assert (found.late, found.lost, found.waiting) == (1, 1, 0)


def test_an_answer_of_a_later_phase_passes_over_what_was_sent_before() -> None:
    first, second = deliveries([(0, 0, sent([OK, GAVE_UP])), (1, 50 * MS, sent([OK], at_ms=50))], (), keys=1)
    assert (first.lost, first.waiting) == (1, 0)
    assert second.lost == 0


def test_a_refusal_and_a_told_error_are_answers_and_what_was_not_handed_over_is_neither() -> None:
    table = sent([Outcome.SHED, ERROR, ERROR, UNSENT, OK])
    table["status"][1] = 500
    found = only(table)
    assert (found.sent, found.answered, found.undelivered, found.lost) == (4, 3, 1, 0)


def test_surplus_and_overtaken_answers_count_in_the_phase_they_came_in() -> None:
    tables = [(0, 0, sent([OK, OK])), (1, 50 * MS, sent([OK], at_ms=50))]
    first, second = deliveries(tables, [told(60, "duplicated", 0, 0, 2), told(10, "reordered", 1)], keys=1)
    assert (first.duplicated, first.reordered) == (0, 1)
    assert (second.duplicated, second.reordered) == (3, 0)
    assert second.repeated_ns.tolist() == [3 * MS, 3 * MS, 53 * MS]


def test_what_was_counted_and_not_placed_is_counted() -> None:
    found = only(sent([OK]), told(9, "duplicated", 0, uncounted=4))
    assert found.duplicated == 5
    assert len(found.repeated_ns) == 1


def test_engine_processes_number_their_rows_each_for_itself() -> None:
    one, other = sent([OK, GAVE_UP, OK], worker=0), sent([GAVE_UP, OK], worker=1)
    table = np.sort(np.concatenate([one, other]), order=["intended_ns", "worker"])
    found = only(table, told(900, "late", 1, worker=0))
    assert found.lost_rows == ((1, 0),)
    assert found.late == 1


def test_the_longest_pause_between_answers_is_found() -> None:
    table = sent([OK] * 4)
    table["done_ns"] = np.array([10, 20, 520, 530]) * MS
    found = only(table)
    assert found.stood_still_s == pytest.approx(0.5)
    assert found.stopped_ns == 20 * MS


def test_a_phase_without_messages_is_empty() -> None:
    found = only(sent([]))
    assert found.counts == {"lost": 0, "duplicated": 0, "reordered": 0}
    assert found.stood_still_s == 0.0
    assert PhaseDelivery(0).counts == {"lost": 0, "duplicated": 0}


def test_accounts_are_read_from_the_events_and_others_passed_over() -> None:
    detail = {"worker": 1, "counts": {"late": 2}, "rows": {"late": [[4, 5]]}}
    (account,) = accounts([Event(7, "health", {}), Event(8, "delivery", detail)])
    assert account == Account(8, 1, {"late": 2}, {"late": [(4, 5)]})


def test_each_late_answer_is_placed_in_the_phase_of_its_message() -> None:
    tables = [(0, 0, sent([GAVE_UP, OK, GAVE_UP, OK])), (1, 50 * MS, sent([GAVE_UP, OK, GAVE_UP], at_ms=50))]
    first, second = deliveries(tables, [told(900, "late", 0, 2, 6)], keys=1)
    assert (first.late, first.lost, first.waiting) == (2, 0, 0)
    assert (second.late, second.lost, second.waiting) == (1, 1, 0)


def test_what_came_before_the_first_phase_is_of_none() -> None:
    (found,) = deliveries([(0, 50 * MS, sent([OK], at_ms=50))], [told(10, "duplicated", 0)], keys=1)
    assert found.duplicated == 0


def test_lost_rows_are_numbered_through_all_phases() -> None:
    tables = [(0, 0, sent([OK, GAVE_UP, OK])), (1, 50 * MS, sent([OK, GAVE_UP, OK], at_ms=50))]
    first, second = deliveries(tables, (), keys=1)
    assert (first.lost_rows, second.lost_rows) == (((0, 1),), ((0, 4),))
