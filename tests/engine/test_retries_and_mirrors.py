"""Clients that try again, and requests that are sent twice to be compared: in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload.engine.answers import AnswerCheck
from proofload.engine.dispatcher import Dispatcher, timeline
from proofload.engine.ledger import Ledger
from proofload.engine.pairing import Pairing
from proofload.engine.retries import Retries, RetryPlan
from proofload.engine.ring import Ring
from proofload.engine.schedule import PhasePlan, share
from proofload.records import Agreement, Outcome
from proofload.testing.virtual_time import VirtualLoop, VirtualTarget, VirtualTimer

MS = 1_000_000
S = 1000 * MS


class Refusing(VirtualTarget):
    """Sheds the first `refusals` tries of every row, 1 ms after they came, then answers."""

    def __init__(self, loop: VirtualLoop, ledger: Ledger, refusals: int) -> None:
        super().__init__(loop, ledger, lambda _: 2 * MS)
        self._refusals = refusals
        self.tries: dict[int, list[int]] = {}

    def send(self, row: int, payload: int) -> None:
        tries = self.tries.setdefault(row, [])
        tries.append(self._loop.now_ns)
        if len(tries) > self._refusals:
            super().send(row, payload)
        else:
            self._loop.at(self._loop.now_ns + MS, lambda: self._ledger.shed(row, 503))


class Rig:
    def __init__(self, plan: RetryPlan | None = None, *, timeout_ns: int = S) -> None:
        self.loop = VirtualLoop()
        self.ring = Ring.allocate(1000)
        self.ledger = Ledger(
            self.ring, deadline_ns=timeout_ns, timeout_ns=timeout_ns, report=lambda *_: None, now=self.loop.now
        )
        self.targets: list[Any] = []
        self.dispatcher = Dispatcher(
            self.loop,
            lambda wake: VirtualTimer(self.loop, wake),
            self.ledger,
            self.targets,
            worker=0,
            retries=None if plan is None else Retries(plan, seed=1),
        )
        self.start_ns = self.loop.now_ns + 10 * MS

    def add(self, target: VirtualTarget, expects: int = 10) -> None:
        self.targets.append(target)
        self.ledger.checks.append(AnswerCheck(target.decode, list(range(expects))))

    def run(self, plan: PhasePlan, seconds: float) -> NDArray[Any]:
        blocks = [(plan, share(plan, payloads=10, worker=0, workers=1))]
        self.dispatcher.start(timeline(blocks, self.start_ns), lambda: None)
        end, rows = self.start_ns + round(seconds * S), []
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


def test_a_refused_request_is_tried_again_and_stays_one_sample(rig: Callable[..., Rig]) -> None:
    bench = rig(RetryPlan(attempts=3, attempt_timeout_ns=0, backoff_ns=10 * MS))
    bench.add(Refusing(bench.loop, bench.ledger, refusals=2))
    rows = bench.run(PhasePlan(0, "a", "constant", 100.0, 1.0, seed=1), 2)
    assert len(rows) == 100
    assert set(rows["outcome"]) == {Outcome.OK}
    assert set(rows["attempts"]) == {3}
    latency = rows["done_ns"] - rows["intended_ns"]
    # two refusals of 1 ms, pauses of 5–10 and 10–20 ms, an answer of 2 ms
    assert latency.min() >= 19 * MS
    assert latency.max() <= 34 * MS
    assert len(set(latency)) > 50, "the pauses are drawn"


def test_behind_a_router_every_try_goes_to_the_router(rig: Callable[..., Rig]) -> None:
    """It says that the canary refused; the client knows no way to the canary but by the router."""
    bench = rig(RetryPlan(attempts=3, attempt_timeout_ns=50 * MS, backoff_ns=0))

    class Router(Refusing):
        def send(self, row: int, payload: int) -> None:
            self._loop.at(self._loop.now_ns, lambda: self._ledger.served_by(row, 1))
            super().send(row, payload)

    router, canary = (kind(bench.loop, bench.ledger, refusals=2) for kind in (Router, Refusing))
    bench.add(router)
    bench.add(canary)
    bench.dispatcher.route = lambda _: 0
    rows = bench.run(PhasePlan(0, "a", "constant", 100.0, 0.5, seed=1), 2)
    assert set(rows["outcome"]) == {Outcome.OK}
    assert set(rows["arm"]) == {1}
    assert {len(tries) for tries in router.tries.values()} == {3}
    assert not canary.tries


def test_when_the_tries_are_used_up_the_last_outcome_stands(rig: Callable[..., Rig]) -> None:
    bench = rig(RetryPlan(attempts=2, attempt_timeout_ns=0, backoff_ns=0))
    target = Refusing(bench.loop, bench.ledger, refusals=9)
    bench.add(target)
    rows = bench.run(PhasePlan(0, "a", "constant", 100.0, 0.5, seed=1), 2)
    assert set(rows["outcome"]) == {Outcome.SHED}
    assert {len(tries) for tries in target.tries.values()} == {2}


def test_a_try_that_takes_too_long_is_given_up_and_another_sent(rig: Callable[..., Rig]) -> None:
    bench = rig(RetryPlan(attempts=3, attempt_timeout_ns=100 * MS, backoff_ns=0))
    target = VirtualTarget(bench.loop, bench.ledger, lambda _: None)
    bench.add(target)
    rows = bench.run(PhasePlan(0, "a", "constant", 10.0, 1.0, seed=1), 3)
    assert set(rows["outcome"]) == {Outcome.TIMEOUT}
    assert set(rows["attempts"]) == {3}
    assert len(target.sent_at) == 30
    assert sorted(target.abandoned) == sorted([*range(10)] * 3)
    assert set(rows["done_ns"] - rows["intended_ns"]) == {300 * MS}


def test_patience_bounds_all_tries_together(rig: Callable[..., Rig]) -> None:
    bench = rig(RetryPlan(attempts=20, attempt_timeout_ns=0, backoff_ns=300 * MS), timeout_ns=500 * MS)
    bench.add(Refusing(bench.loop, bench.ledger, refusals=99))
    rows = bench.run(PhasePlan(0, "a", "constant", 10.0, 1.0, seed=1), 3)
    assert set(rows["outcome"]) == {Outcome.SHED}
    assert (rows["done_ns"] - rows["intended_ns"]).max() <= 500 * MS


def test_mirrors_go_to_the_other_arm_and_are_compared_with_their_originals(rig: Callable[..., Rig]) -> None:
    bench = rig()
    bench.ledger.pairing = Pairing(bench.ring)
    bench.add(VirtualTarget(bench.loop, bench.ledger, lambda row: (3 if row % 3 else 1) * MS))

    class Off(VirtualTarget):
        """Answers payload 4 with another prediction, and payload 5 never."""

        def send(self, row: int, payload: int) -> None:
            if payload != 5:
                super().send(row, 999 if payload == 4 else payload)

    bench.add(Off(bench.loop, bench.ledger, lambda _: 2 * MS))
    for check in bench.ledger.checks:
        check.keep_predictions(wanted=True)
    bench.dispatcher.route = lambda _: 0
    rows = bench.run(PhasePlan(0, "a", "constant", 400.0, 1.0, seed=1, mirror=0.5), 3)
    mirrors, originals = rows[rows["mirror"] == 1], rows[rows["mirror"] == 0]
    assert len(originals) == 400
    assert 150 < len(mirrors) < 250
    assert set(mirrors["arm"]) == {1}
    assert set(originals["arm"]) == {0}
    assert set(originals["agrees"]) == {Agreement.NOT_COMPARED}
    for payload, verdict in ((3, Agreement.SAME), (4, Agreement.DIFFERENT), (5, Agreement.NOT_COMPARED)):
        assert set(mirrors["agrees"][mirrors["payload"] == payload]) == {verdict}
    assert set(mirrors["outcome"][mirrors["payload"] == 5]) == {Outcome.TIMEOUT}
    paired = originals[np.isin(originals["seq"], mirrors["seq"])]
    assert np.array_equal(paired["intended_ns"], mirrors["intended_ns"])
    assert np.array_equal(paired["payload"], mirrors["payload"])
    assert np.array_equal(originals["score"], originals["payload"].astype(np.float32))


def test_every_request_is_mirrored_once_at_a_share_of_one() -> None:
    plan = PhasePlan(0, "a", "poisson", 500.0, 2.0, seed=1, mirror=1.0)
    for workers in (1, 3):
        blocks = [
            block for worker in range(workers) for block in share(plan, payloads=7, worker=worker, workers=workers)
        ]
        seq = np.concatenate([block.seq for block in blocks])
        mirror = np.concatenate([block.mirror for block in blocks])
        assert np.array_equal(np.sort(seq[mirror == 1]), np.sort(seq[mirror == 0]))
        for block in blocks:
            assert np.array_equal(block.seq[0::2], block.seq[1::2])
