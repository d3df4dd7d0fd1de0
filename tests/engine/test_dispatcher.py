"""Dispatching in virtual time: open loop, absolute, conserved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload.engine.answers import AnswerCheck
from proofload.engine.dispatcher import Dispatcher, timeline
from proofload.engine.ledger import Ledger
from proofload.engine.ring import Ring
from proofload.engine.schedule import PhasePlan, share
from proofload.records import Outcome
from proofload.testing.virtual_time import VirtualLoop, VirtualTarget, VirtualTimer

MS = 1_000_000
S = 1000 * MS
PAYLOADS = 10


class Rig:
    """A dispatcher over a virtual target; `run` drains the ring like the lab does."""

    def __init__(self, service: Callable[[int], int | None], *, timeout_ns: int = S, deadline_ns: int = S) -> None:
        self.loop = VirtualLoop()
        self.ring = Ring.allocate(1000)
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self.ledger = Ledger(
            self.ring,
            deadline_ns=deadline_ns,
            timeout_ns=timeout_ns,
            report=lambda event, detail: self.reports.append((event, detail)),
            now=self.loop.now,
        )
        self.target = VirtualTarget(self.loop, self.ledger, service)
        self.ledger.checks.append(AnswerCheck(self.target.decode, list(range(PAYLOADS))))
        self.dispatcher = Dispatcher(
            self.loop, lambda wake: VirtualTimer(self.loop, wake), self.ledger, [self.target], worker=0
        )
        self.idle = False
        self.start_ns = self.loop.now_ns + 10 * MS

    def plan(self, *plans: PhasePlan) -> None:
        phases = [(plan, share(plan, payloads=PAYLOADS, worker=0, workers=1)) for plan in plans]
        self.idle = False
        self.dispatcher.start(timeline(phases, self.start_ns), self._on_idle)

    def _on_idle(self) -> None:
        self.idle = True

    def run(self, seconds: float) -> NDArray[Any]:
        end = self.start_ns + round(seconds * S)
        rows = []
        while self.loop.now_ns < end:
            self.loop.run(min(end, self.loop.now_ns + 50 * MS))
            rows.append(self.ring.drain())
        return np.concatenate(rows)


@pytest.fixture
def rig() -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def make(*args: Any, **options: Any) -> Rig:
        made.append(Rig(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.ring.close()


def phase(rate: float = 1000.0, duration: float = 2.0, index: int = 0, arrival: str = "constant") -> PhasePlan:
    return PhasePlan(index, f"phase {index}", arrival, rate, duration, seed=3)


def test_every_request_is_sent_at_its_due_time_and_answered(rig: Callable[..., Rig]) -> None:
    bench = rig(lambda _: 2 * MS)
    bench.plan(phase())
    rows = bench.run(3)
    assert bench.idle
    assert len(rows) == 2000
    assert set(rows["outcome"]) == {Outcome.OK}
    assert np.array_equal(rows["intended_ns"], bench.start_ns + np.arange(2000) * MS)
    assert np.array_equal(rows["dispatched_ns"], rows["intended_ns"])
    assert np.all(rows["done_ns"] - rows["intended_ns"] == 2 * MS)


def test_a_frozen_target_changes_nothing_about_when_requests_are_due(rig: Callable[..., Rig]) -> None:
    bench = rig(lambda row: 900 * MS - row * MS if row < 900 else MS)
    bench.plan(phase())
    rows = bench.run(4)
    assert np.array_equal(rows["dispatched_ns"], rows["intended_ns"])
    latency = (rows["done_ns"] - rows["intended_ns"])[:900]
    assert np.array_equal(latency, (900 - np.arange(900)) * MS)


def test_a_late_client_shows_as_send_lag_and_in_latency(rig: Callable[..., Rig]) -> None:
    bench = rig(lambda _: MS)
    bench.plan(phase())
    bench.loop.at(bench.start_ns + 500 * MS, lambda: setattr(bench.loop, "now_ns", bench.loop.now_ns + 200 * MS))
    rows = bench.run(3)
    assert len(rows) == 2000
    lag = rows["dispatched_ns"] - rows["intended_ns"]
    assert lag.max() == pytest.approx(200 * MS, abs=MS)
    assert np.count_nonzero(lag) == pytest.approx(200, abs=2)
    assert lag[-1] == 0, "the delay never reaches later requests"
    assert np.all(rows["done_ns"] - rows["intended_ns"] >= lag)


def test_what_is_never_answered_times_out_and_is_abandoned(rig: Callable[..., Rig]) -> None:
    bench = rig(lambda row: None if row % 10 == 0 else MS, timeout_ns=300 * MS, deadline_ns=300 * MS)
    bench.plan(phase())
    rows = bench.run(4)
    assert bench.idle
    counts = np.bincount(rows["outcome"], minlength=7)
    assert counts[Outcome.TIMEOUT] == 200
    assert counts[Outcome.OK] == 1800
    assert sorted(bench.target.abandoned) == list(range(0, 2000, 10))
    gave_up = rows[rows["outcome"] == Outcome.TIMEOUT]
    waited = gave_up["done_ns"] - gave_up["intended_ns"]
    assert waited.min() >= 300 * MS
    assert waited.max() <= 320 * MS


def test_an_answer_after_the_client_gave_up_changes_nothing(rig: Callable[..., Rig]) -> None:
    bench = rig(lambda _: 400 * MS, timeout_ns=300 * MS, deadline_ns=300 * MS)
    bench.plan(phase(rate=100.0, duration=1.0))
    rows = bench.run(3)
    assert set(rows["outcome"]) == {Outcome.TIMEOUT}


def test_a_correct_answer_after_the_deadline_is_late(rig: Callable[..., Rig]) -> None:
    bench = rig(lambda row: 80 * MS if row % 2 else 20 * MS, deadline_ns=50 * MS)
    bench.plan(phase(rate=100.0))
    counts = np.bincount(bench.run(3)["outcome"], minlength=7)
    assert counts[Outcome.LATE] == counts[Outcome.OK] == 100


def test_swapped_answers_are_caught_and_an_example_is_kept(rig: Callable[..., Rig]) -> None:
    bench = rig(lambda _: MS)
    honest = bench.ledger.answered

    def swapping(row: int, status: int, body: bytes) -> None:
        honest(row, status, b"%d" % ((int(body) + 1) % PAYLOADS) if row % 1000 == 500 else body)

    bench.ledger.answered = swapping  # type: ignore[method-assign]
    bench.plan(phase(duration=4.0))
    rows = bench.run(5)
    assert np.flatnonzero(rows["outcome"] == Outcome.WRONG).tolist() == [500, 1500, 2500, 3500]
    [example, *_] = [detail for event, detail in bench.reports if event == "example"]
    assert "expected" in example["detail"]


def test_phases_follow_one_another_without_a_gap(rig: Callable[..., Rig]) -> None:
    bench = rig(lambda _: MS)
    bench.plan(phase(rate=100.0, duration=1.0, index=0), phase(rate=1000.0, duration=1.0, index=1))
    rows = bench.run(3)
    assert np.bincount(rows["phase"]).tolist() == [100, 1000]
    assert rows[rows["phase"] == 1]["intended_ns"][0] == bench.start_ns + S
    assert bench.dispatcher.counts == {0: 100, 1: 1000}


def test_a_cut_phase_conserves_its_requests(rig: Callable[..., Rig]) -> None:
    bench = rig(lambda _: 5 * MS)
    bench.plan(phase())
    rows = bench.run(0.7)
    bench.loop.now_ns += 100 * MS  # the client is 100 ms behind when it is told to stop
    bench.dispatcher.cut(now_ns=bench.loop.now_ns)
    rows = np.concatenate([rows, bench.run(2)])
    assert bench.idle
    counts = np.bincount(rows["outcome"], minlength=7)
    assert len(rows) == bench.dispatcher.counts[0] == counts[Outcome.OK] + counts[Outcome.UNSENT]
    assert counts[Outcome.UNSENT] == pytest.approx(100 - 64, abs=2)  # but for one burst
    assert np.all(rows[rows["outcome"] == Outcome.UNSENT]["dispatched_ns"] == 0)


def test_what_falls_due_in_the_moment_of_a_cut_is_sent(rig: Callable[..., Rig]) -> None:
    bench = rig(lambda _: 5 * MS)
    bench.plan(phase())
    rows = bench.run(0.7)
    bench.loop.now_ns += 2 * MS  # told to stop, and two have fallen due since the last turn
    bench.dispatcher.cut(now_ns=bench.loop.now_ns)
    rows = np.concatenate([rows, bench.run(2)])
    assert bench.idle
    assert len(rows) == bench.dispatcher.counts[0] == pytest.approx(702, abs=2)
    assert np.all(rows["outcome"] == Outcome.OK)


def test_a_lab_that_stops_draining_stalls_the_client_and_loses_nothing(rig: Callable[..., Rig]) -> None:
    bench = rig(lambda _: MS, timeout_ns=100 * MS)
    bench.plan(phase(rate=20_000.0, duration=3.0))
    bench.loop.run(bench.start_ns + 2 * S)
    rows = [bench.ring.drain()]
    assert len(rows[0]) < 30_000
    rows.append(bench.run(5))
    together = np.concatenate(rows)
    assert len(together) == 60_000
    assert np.array_equal(together["seq"], np.arange(60_000))
    assert (together["dispatched_ns"] - together["intended_ns"]).max() > 500 * MS


def test_a_second_start_goes_on_where_the_first_ended(rig: Callable[..., Rig]) -> None:
    bench = rig(lambda _: MS)
    bench.plan(phase(rate=100.0, duration=1.0, index=0))
    first = bench.run(2)
    bench.start_ns = bench.loop.now_ns + 10 * MS
    bench.plan(phase(rate=100.0, duration=1.0, index=1))
    second = bench.run(2)
    assert [len(first), len(second)] == [100, 100]
    assert set(second["phase"]) == {1}
