"""The queue and the thread between callers and the model, with a model made of Python."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from proofload_servers.serving import Answer, Expired, Failed, NotReady, Overloaded, Refusal, Result
from proofload_servers.serving.batcher import Batcher, Work
from proofload_servers.serving.metrics import Metrics
from proofload_servers.serving.policy import Policy, adaptive, static

WAIT_S = 20.0
Compute = Callable[[list[Any]], Sequence[Any]]


class Gate:
    """A computation that tells when it began and goes on when it may; doubles each row."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.batches: list[list[Any]] = []

    def rows(self) -> list[Any]:
        return [row for batch in self.batches for row in batch]

    def __call__(self, rows: list[Any]) -> list[Any]:
        self.begun.set()
        assert self.go_on.wait(WAIT_S)
        self.batches.append(rows)
        return [row * 2 for row in rows]


def finish(work: Work, prediction: Any, queue_ms: float, compute_ms: float) -> Answer:
    return Answer(work.id, prediction, "m", "1", queue_ms, compute_ms)


def batcher_of(compute: Compute, policy: Policy | None = None, **limits: Any) -> Batcher:
    settings = {"max_queue": 64, "max_wait_s": 0.0, "item_s": 0.001} | limits
    return Batcher(compute, finish, policy or adaptive(16, 0.002), Metrics(), **settings)


def work(row: Any, deadline_ns: int | None = None, future: Future[Answer] | None = None) -> tuple[Work, Future[Result]]:
    result: Future[Result] = Future()
    return Work(str(row), str(row), row, deadline_ns, result.set_result, future=future), result


def put(batcher: Batcher, row: Any, **options: Any) -> Future[Result]:
    item, result = work(row, **options)
    batcher.put([item])
    return result


def hold(batcher: Batcher, gate: Gate) -> Future[Result]:
    """One request under way, so that whatever comes next waits in the queue."""
    first = put(batcher, 0)
    assert gate.begun.wait(WAIT_S)
    return first


def test_every_caller_gets_the_answer_to_its_own_question() -> None:
    batcher = batcher_of(lambda rows: [row * 3 for row in rows], max_queue=10_000)

    def ask(start: int) -> list[tuple[int, Result]]:
        pending = [(row, put(batcher, row)) for row in range(start, start + 500)]
        return [(row, result.result(WAIT_S)) for row, result in pending]

    with ThreadPoolExecutor(8) as pool:
        for answers in pool.map(ask, range(0, 4000, 500)):
            for row, answer in answers:
                assert isinstance(answer, Answer)
                assert (answer.id, answer.prediction) == (str(row), row * 3)
    assert batcher.close(WAIT_S)


def test_waiting_requests_are_computed_together_in_the_order_of_their_arrival() -> None:
    gate = Gate()
    batcher = batcher_of(gate)
    hold(batcher, gate)
    waiting = [put(batcher, row) for row in range(1, 9)]
    gate.go_on.set()
    for result in waiting:
        result.result(WAIT_S)
    assert gate.rows() == list(range(9))
    assert len(gate.batches[1]) > 1
    assert batcher.close(WAIT_S)


def test_a_static_batch_waits_for_company_up_to_its_delay() -> None:
    batches: list[int] = []

    def compute(rows: list[Any]) -> list[Any]:
        batches.append(len(rows))
        return rows

    batcher = batcher_of(compute, static(3, 60.0))
    results = [put(batcher, row) for row in range(3)]
    for result in results:
        result.result(WAIT_S)
    assert batches == [3]
    assert batcher.close(WAIT_S)


def test_expired_work_is_dropped_and_not_computed() -> None:
    gate = Gate()
    batcher = batcher_of(gate)
    hold(batcher, gate)
    late = put(batcher, 1, deadline_ns=time.monotonic_ns())
    fine = put(batcher, 2, deadline_ns=time.monotonic_ns() + 60_000_000_000)
    gate.go_on.set()
    assert isinstance(late.result(WAIT_S), Expired)
    assert isinstance(fine.result(WAIT_S), Answer)
    assert 1 not in gate.rows()
    assert batcher.close(WAIT_S)


def test_a_deadline_that_passes_while_the_batch_fills_is_kept_too() -> None:
    computed: list[Any] = []

    def compute(rows: list[Any]) -> list[Any]:
        computed.extend(rows)
        return rows

    batcher = batcher_of(compute, static(2, 60.0))
    early = put(batcher, 1, deadline_ns=time.monotonic_ns() + 20_000_000)
    time.sleep(0.03)  # the deadline itself is what is waited for
    fine = put(batcher, 2)
    assert isinstance(early.result(WAIT_S), Expired)
    assert isinstance(fine.result(WAIT_S), Answer)
    assert computed == [2]
    assert batcher.close(WAIT_S)


def test_cancelled_work_is_not_computed() -> None:
    gate = Gate()
    batcher = batcher_of(gate)
    hold(batcher, gate)
    given_up: Future[Answer] = Future()
    result = put(batcher, 1, future=given_up)
    given_up.cancel()
    gate.go_on.set()
    assert isinstance(result.result(WAIT_S), Refusal)
    assert batcher.close(WAIT_S)
    assert 1 not in gate.rows()


def test_a_full_queue_sheds_and_says_when_to_come_back() -> None:
    gate = Gate()
    batcher = batcher_of(gate, max_queue=4, item_s=0.5)
    hold(batcher, gate)
    for row in range(4):
        put(batcher, row)
    with pytest.raises(Overloaded) as refusal:
        put(batcher, 5)
    assert refusal.value.retry_after_s == pytest.approx(4 * 0.5)
    assert refusal.value.retry_after_header == "2"
    gate.go_on.set()
    assert batcher.close(WAIT_S)


def test_a_queue_that_is_short_in_requests_but_long_in_seconds_sheds_too() -> None:
    gate = Gate()
    batcher = batcher_of(gate, max_queue=100, max_wait_s=1.0, item_s=0.4)
    hold(batcher, gate)
    for row in range(3):
        put(batcher, row)
    with pytest.raises(Overloaded):
        put(batcher, 4)
    gate.go_on.set()
    assert batcher.close(WAIT_S)


def test_waiting_before_admission_counts_against_the_longest_wait() -> None:
    batcher = batcher_of(lambda rows: rows, max_wait_s=1.0)
    item, _ = work(1)
    item.enqueued_ns = time.monotonic_ns() - 2_000_000_000
    with pytest.raises(Overloaded):
        batcher.put([item])
    assert batcher.close(WAIT_S)


def test_a_batch_call_is_admitted_whole_or_not_at_all() -> None:
    gate = Gate()
    batcher = batcher_of(gate, max_queue=4)
    hold(batcher, gate)
    with pytest.raises(Overloaded):
        batcher.put([work(row)[0] for row in range(5)])
    assert batcher.depth == 0
    gate.go_on.set()
    assert batcher.close(WAIT_S)


@pytest.mark.parametrize("broken", [lambda _rows: 1 / 0, lambda rows: rows[:-1]])
def test_a_failed_batch_answers_all_its_callers_and_the_next_one_is_served(broken: Compute) -> None:
    calls = 0

    def compute(rows: list[Any]) -> Sequence[Any]:
        nonlocal calls
        calls += 1
        return broken(rows) if calls == 1 else rows

    batcher = batcher_of(compute, static(2, 60.0))
    first = [put(batcher, row) for row in range(2)]
    assert all(isinstance(result.result(WAIT_S), Failed) for result in first)
    second = [put(batcher, row) for row in range(2)]
    assert all(isinstance(result.result(WAIT_S), Answer) for result in second)
    assert batcher.close(WAIT_S)


def test_one_callers_broken_callback_costs_the_others_nothing() -> None:
    batcher = batcher_of(lambda rows: rows, static(2, 60.0))

    def broken(_result: Result) -> None:
        raise RuntimeError("gone")

    batcher.put([Work("a", "a", 1, None, broken)])
    assert isinstance(put(batcher, 2).result(WAIT_S), Answer)
    assert batcher.close(WAIT_S)


def test_closing_finishes_what_was_admitted_and_admits_nothing_more() -> None:
    gate = Gate()
    batcher = batcher_of(gate)
    admitted = [hold(batcher, gate), *(put(batcher, row) for row in range(1, 5))]
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(batcher.close, WAIT_S)
        while not batcher.closed:
            time.sleep(0)
        with pytest.raises(NotReady):
            put(batcher, 9)
        gate.go_on.set()
        assert closing.result(WAIT_S) is True
    assert all(isinstance(result.result(0), Answer) for result in admitted)


def test_what_cannot_be_finished_in_time_is_refused_instead_of_left_waiting() -> None:
    gate = Gate()
    batcher = batcher_of(gate)
    hold(batcher, gate)
    left = put(batcher, 1)
    assert batcher.close(0.0) is False
    assert isinstance(left.result(WAIT_S), NotReady)
    gate.go_on.set()
