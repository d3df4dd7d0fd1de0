"""Correlation ids: no reply is ever attributed to a request it does not answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proofload.transports._kafka_ids import DUPLICATE, LATE, UNKNOWN, Correlations


def ids(worker: int = 0, nonce: str = "aa") -> Correlations:
    return Correlations(worker, lambda: nonce)


def test_a_reply_settles_the_row_it_was_issued_for() -> None:
    open_requests = ids()
    first, second = open_requests.issue(7), open_requests.issue(8)
    assert open_requests.settle(second) == 8
    assert open_requests.settle(first) == 7
    assert len(open_requests) == 0


def test_a_second_reply_is_a_duplicate_even_when_its_row_is_in_use_again() -> None:
    open_requests = ids()
    first = open_requests.issue(7)
    assert open_requests.settle(first) == 7
    again = open_requests.issue(7)
    assert open_requests.settle(first) == DUPLICATE
    assert open_requests.settle(again) == 7


def test_a_reply_to_an_abandoned_row_is_late_once_and_never_meant_for_its_successor() -> None:
    open_requests = ids()
    first = open_requests.issue(7)
    assert open_requests.abandon(7)
    again = open_requests.issue(7)
    assert open_requests.settle(first) == LATE
    assert open_requests.settle(first) == DUPLICATE
    assert open_requests.settle(again) == 7


def test_a_reply_after_a_failed_delivery_is_late() -> None:
    open_requests = ids()
    correlation = open_requests.issue(3)
    assert open_requests.fail(correlation) == 3
    assert open_requests.settle(correlation) == LATE


def test_abandoning_what_nobody_waits_for_changes_nothing() -> None:
    open_requests = ids()
    settled = open_requests.issue(1)
    open_requests.settle(settled)
    assert not open_requests.abandon(1)
    assert not open_requests.abandon(99)


def test_ids_of_other_runs_and_workers_are_unknown() -> None:
    mine = ids(worker=1)
    mine.issue(0)
    for stranger in (ids(worker=2).issue(0), ids(worker=1, nonce="bb").issue(0)):
        assert mine.settle(stranger) == UNKNOWN


@given(st.one_of(st.none(), st.binary(max_size=40), st.binary(max_size=8).map(lambda tail: b"aa01-" + tail)))
def test_whatever_stands_in_the_header_never_raises_and_settles_nothing(correlation: bytes | None) -> None:
    assert ids(worker=1).settle(correlation) == UNKNOWN


def test_two_runs_do_not_share_ids() -> None:
    assert Correlations(0).issue(0) != Correlations(0).issue(0)


def test_ids_stay_compact() -> None:
    open_requests = Correlations(255)
    assert max(len(open_requests.issue(row)) for row in range(100_000)) <= 18


@given(st.lists(st.sampled_from(["send", "answer", "abandon", "repeat"]), max_size=200))
def test_every_request_ends_at_most_once(steps: list[str]) -> None:
    open_requests = ids()
    waiting: dict[int, bytes] = {}
    issued: list[bytes] = []
    row = 0
    for step in steps:
        if step == "send":
            waiting[row % 5] = open_requests.issue(row % 5) if row % 5 not in waiting else waiting[row % 5]
            issued.append(waiting[row % 5])
            row += 1
        elif step == "answer" and waiting:
            chosen, correlation = waiting.popitem()
            assert open_requests.settle(correlation) == chosen
        elif step == "abandon" and waiting:
            chosen, _ = waiting.popitem()
            assert open_requests.abandon(chosen)
        elif step == "repeat" and issued and issued[0] not in waiting.values():
            assert open_requests.settle(issued[0]) in {DUPLICATE, LATE}
    assert len(open_requests) == len(waiting)


def test_what_is_under_way_counts_the_abandoned_until_they_are_answered_or_surely_lost() -> None:
    now = [0]
    requests = Correlations(0, now=lambda: now[0])
    first, second, _third = (requests.issue(row) for row in range(3))
    requests.abandon(0)
    requests.abandon(1)
    assert requests.underway == 3
    requests.settle(second)
    assert requests.underway == 2
    now[0] = 31 * 10**9
    assert requests.underway == 1
    assert requests.settle(first) == LATE  # however late: it is the first answer to its request


def test_beyond_the_window_a_reply_counts_as_a_duplicate_and_its_row_is_forgotten() -> None:
    requests = Correlations(0, window=4)
    first, second = requests.issue(10), requests.issue(11)
    requests.abandon(10)
    requests.settle(second)
    for row in range(12, 15):
        requests.issue(row)
    assert requests.settle(first) == DUPLICATE
    assert requests.row_of(0) == -1
    assert requests.settle(second) == DUPLICATE
    assert requests.row_of(requests.last) == 11
