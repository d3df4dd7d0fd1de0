"""What stands between callers and the queue: known, joined or computed; with a cache and a queue played by the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from proofload_servers.serving import Answer, Expired, Failed, NotReady, Overloaded, Result
from proofload_servers.serving.batcher import Work
from proofload_servers.serving.cache import Found
from proofload_servers.serving.cache.admission import CachedAdmission
from proofload_servers.serving.cache.counts import CacheCounts
from proofload_servers.serving.metrics import Metrics
from proofload_servers.serving.refusals import Refusal

WAIT_S = 20.0


class Shelf:
    """A cache that answers at once, or when told to."""

    def __init__(self) -> None:
        self.kept: dict[bytes, Any] = {}
        self.later = False
        self.away = False
        self.asked: list[Callable[[], None]] = []

    def look_up(self, keys: Sequence[bytes], found: Found) -> None:
        def answer() -> None:
            found(None if self.away else [self.kept.get(key) for key in keys])

        if self.later:
            self.asked.append(answer)
        else:
            answer()

    def keep(self, key: bytes, prediction: Any) -> None:
        self.kept[key] = prediction

    def close(self, timeout_s: float) -> None: ...


class Table:
    """The admission under test with all that is around it. The row of a request is its key; predictions are rows."""

    def __init__(self, most_held: int = 100) -> None:
        registry = CollectorRegistry()
        self.shelf = Shelf()
        self.queue: list[Work] = []
        self.refuses: Refusal | None = None
        self.metrics = Metrics()
        self.admit = CachedAdmission(
            self.shelf,
            lambda row: str(row).encode(),
            self._put,
            self._finish,
            counts=CacheCounts(registry, remote=False),
            metrics=self.metrics,
            most_held=most_held,
        )
        self._registry = registry
        self._lock = threading.Lock()

    def _put(self, works: Sequence[Work]) -> None:
        if self.refuses is not None:
            raise self.refuses
        with self._lock:
            self.queue += works

    @staticmethod
    def _finish(work: Work, prediction: Any, queue_ms: float, compute_ms: float) -> Answer:
        return Answer(work.id, prediction, "m", "1", queue_ms, compute_ms, work.features)

    def call(self, *rows: int) -> list[Asked]:
        asked = [Asked(row) for row in rows]
        self.admit([one.work for one in asked])
        return asked

    def compute(self, result: Result | None = None) -> list[int]:
        """Everything in the queue, now; the rows that were."""
        with self._lock:
            works, self.queue = self.queue, []
        for work in works:
            work.done(result or self._finish(work, work.row, 1.0, 2.0))
        return [work.row for work in works]

    def count(self, name: str) -> float | None:
        return self._registry.get_sample_value(f"proofload_cache_{name}_total")

    def counts(self) -> dict[str, float | None]:
        return {name: self.count(name) for name in ("hits", "misses", "joined", "skipped") if self.count(name)}


class Asked:
    """One request, and what became of it: exactly one result."""

    number = 0

    def __init__(self, row: int) -> None:
        Asked.number += 1
        name = f"q{Asked.number}"
        self.results: list[Result] = []
        self.work = Work(name, name, row, None, self.results.append, {"own": name})

    @property
    def result(self) -> Result | None:
        assert len(self.results) < 2
        return self.results[0] if self.results else None

    @property
    def prediction(self) -> Any:
        assert isinstance(self.result, Answer)
        assert (self.result.id, self.result.features) == (self.work.id, {"own": self.work.id})
        return self.result.prediction


def test_the_first_is_computed_and_kept_and_the_next_is_known() -> None:
    table = Table()
    (first,) = table.call(5)
    assert table.compute() == [5]
    (second,) = table.call(5)
    assert (first.prediction, second.prediction) == (5, 5)
    assert isinstance(second.result, Answer)
    assert second.result.compute_ms == 0.0
    assert table.queue == []
    assert table.counts() == {"hits": 1, "misses": 1}


def test_equal_requests_are_computed_once_however_many_come_at_a_time() -> None:
    table = Table()
    asked = [*table.call(5), *table.call(5), *table.call(6), *table.call(5)]
    assert table.admit.held == 2
    assert table.compute() == [5, 6]
    assert [one.prediction for one in asked] == [5, 5, 6, 5]
    assert table.admit.held == 0
    assert table.counts() == {"misses": 2, "joined": 2}


def test_equal_requests_are_looked_up_once_too() -> None:
    table = Table()
    table.shelf.later = True
    table.shelf.kept[b"5"] = 5
    asked = [*table.call(5), *table.call(5)]
    (answer,) = table.shelf.asked
    answer()
    assert [one.prediction for one in asked] == [5, 5]


def test_of_a_call_with_several_only_what_is_new_is_computed_and_each_of_it_once() -> None:
    table = Table()
    table.shelf.kept[b"1"] = 1
    asked = table.call(1, 2, 2, 3)
    assert table.compute() == [2, 3]
    assert [one.prediction for one in asked] == [1, 2, 2, 3]
    assert table.counts() == {"hits": 1, "misses": 2, "joined": 1}


def test_a_cache_that_is_away_costs_nothing_but_the_hits() -> None:
    table = Table()
    table.shelf.away = True
    asked = table.call(1, 2)
    assert table.compute() == [1, 2]
    assert [one.prediction for one in asked] == [1, 2]
    assert table.counts() == {"skipped": 2}


@pytest.mark.parametrize("refusal", [Overloaded(), NotReady("going away")])
@pytest.mark.parametrize("later", [False, True])
def test_a_refusal_by_the_queue_reaches_all_of_a_call_that_were_not_known(refusal: Refusal, later: bool) -> None:
    table = Table()
    table.shelf.later, table.refuses = later, refusal
    table.shelf.kept[b"1"] = 1
    asked = table.call(1, 2, 3, 3)
    for answer in table.shelf.asked:
        answer()
    assert asked[0].prediction == 1
    assert [one.result for one in asked[1:]] == [refusal] * 3
    assert table.admit.held == 0
    table.refuses, table.shelf.later = None, False
    (again,) = table.call(2)
    table.compute()
    assert again.prediction == 2


def test_a_computation_that_fails_fails_for_all_who_waited_and_is_not_kept() -> None:
    table = Table()
    asked = [*table.call(5), *table.call(5)]
    failed = Failed()
    table.compute(failed)
    assert [one.result for one in asked] == [failed, failed]
    assert table.shelf.kept == {}
    (again,) = table.call(5)
    table.compute()
    assert again.prediction == 5


def test_when_the_first_expires_the_next_goes_on_for_those_who_still_wait() -> None:
    table = Table()
    first, second, third = *table.call(5), *table.call(5), *table.call(5)
    expired = Expired()
    assert table.compute(expired) == [5]
    assert (first.result, second.result, third.result) == (expired, None, None)
    assert [work.id for work in table.queue] == [second.work.id]
    table.compute()
    assert (second.prediction, third.prediction) == (5, 5)


def test_when_the_first_expires_and_there_is_no_room_the_others_are_refused() -> None:
    table = Table()
    _, second, third = *table.call(5), *table.call(5), *table.call(5)
    table.refuses = Overloaded()
    table.compute(Expired())
    assert second.result is table.refuses
    assert third.result is table.refuses
    assert table.admit.held == 0


def test_beyond_what_it_may_hold_requests_go_straight_to_the_queue() -> None:
    table = Table(most_held=2)
    table.shelf.later = True
    table.call(1)
    table.call(2)
    straight = table.call(1)
    assert [work.row for work in table.queue] == [1]
    table.compute()
    assert straight[0].prediction == 1
    assert table.counts() == {"skipped": 1}
    table.refuses = Overloaded()
    with pytest.raises(Overloaded):
        table.call(3)


def broken(_result: Result) -> None:
    raise ZeroDivisionError


def test_one_callers_broken_callback_costs_the_others_nothing() -> None:
    table = Table()
    bad = Asked(5)
    bad.work.done = broken
    table.admit([bad.work])
    (good,) = table.call(5)
    table.compute()
    assert good.prediction == 5


def test_all_the_time_since_a_request_came_counts_as_queue_time() -> None:
    table = Table()
    table.shelf.kept[b"5"] = 5
    early = Asked(5)
    early.work.enqueued_ns = 1
    table.admit([early.work])
    assert isinstance(early.result, Answer)
    assert early.result.queue_ms > 0.0
    text = table.metrics.render().decode()
    assert "proofload_queue_seconds_count 1.0" in text
    assert "proofload_compute_seconds_sum 0.0" in text


def test_settle_waits_for_what_is_being_looked_up() -> None:
    table = Table()
    table.shelf.later = True
    table.call(1)
    settled = threading.Thread(target=table.admit.settle, args=(WAIT_S,))
    settled.start()
    settled.join(0.05)
    assert settled.is_alive()
    assert table.queue == []
    table.shelf.asked[0]()
    settled.join(WAIT_S)
    assert not settled.is_alive()
    assert [work.row for work in table.queue] == [1]
    table.compute()


def test_many_threads_asking_for_few_rows_all_get_their_own_answers() -> None:
    table = Table(most_held=10_000)
    begun = threading.Barrier(4)
    asked: list[list[Asked]] = [[], [], [], []]

    def ask(place: int) -> None:
        begun.wait(WAIT_S)
        for number in range(500):
            asked[place] += table.call(number % 7)
            if number % 5 == 0:
                table.compute()

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    while table.queue:
        table.compute()
    assert all(one.prediction == one.work.row for ours in asked for one in ours)
    assert table.admit.held == 0
