"""Lost, surplus and reordered messages: harmless handovers are left alone, and what breaks a guarantee is seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from proofload.records import Check, Status
from proofload.selftest import Shape
from proofload.selftest.trials._streams import Worker, stretches
from proofload.verdict.delivery import Guarantee, Stretch, duplicated, lost, reordered, share_bounds

SHARE = 0.001
_ALPHA = 0.001
_MISS = 0.05
"""Bounds hold at 95 %."""
Decide = Callable[[Sequence[Stretch]], Check]


def create() -> Delivery:
    return Delivery()


class Delivery:
    """See `proofload.selftest.Trial`."""

    scenario = "kafka-delivery"
    decides = "messages are lost, answered more often than the guarantee allows, or out of order"

    def shapes(self) -> Sequence[Shape]:
        return [*_harmless(), *_losses(), *_surplus(), *_overtaken(), *_bounds()]


def _harmless() -> list[Shape]:
    within = {"restart": 0.9, "kill": 0.9}
    harmless = {
        "all is well": Worker(),
        "bursts and drifting answers": Worker(bursty=True),
        "stalls, answers after the client gave up": Worker(stall_s=12.0),
        "what was answered since the last commit is repeated": Worker(repeats_s=within),
        "repeats, bursts and a stall": Worker(repeats_s=within, bursty=True, stall_s=9.0),
    }
    shapes = [_null(what, worker, decide) for what, worker in harmless.items() for decide in (_lost, _surplus_check)]
    return [
        *shapes,
        _null("all is well", Worker(), _order),
        _null("a kill takes what was in hand, at most once", Worker(lost_at_kill=20.0), _lost_at_most_once),
        _null("undisturbed, exactly the tolerated share again", Worker(surplus_share=SHARE), _surplus_check),
        _null("redelivery suppressed, exactly once", Worker(bursty=True), _surplus_exactly_once),
    ]


def _losses() -> list[Shape]:
    anywhere = _Curve("lost anywhere (share, in tolerated shares)", _lost, detected=2.0)
    at_kill = _Curve("lost by a kill (messages, mean)", _lost, detected=5.0, passes=1.0)
    return [
        *(anywhere.at(size, f"lost: {size:g} × {SHARE:.1%} of all", Worker(lost_share=size * SHARE))
          for size in (1.0, 1.5, 2.0, 4.0)),
        *(at_kill.at(size, f"lost: {size:g} in hand when killed", Worker(lost_at_kill=size))
          for size in (1.0, 2.0, 5.0, 20.0)),
    ]  # fmt: skip


def _surplus() -> list[Shape]:
    calm = _Curve("answered twice, undisturbed (share, in tolerated shares)", _surplus_calm, detected=20.0)
    stopped = _Curve("repeated after an orderly stop (s; 1 is allowed)", _surplus_check, detected=1.1, passes=1.0)
    killed = _Curve("exactly once, repeated after a kill (s)", _surplus_exactly_once, detected=0.05, passes=1.0)
    return [
        *(calm.at(size, f"undisturbed, {size:g} × {SHARE:.1%} again", Worker(surplus_share=size * SHARE))
          for size in (5.0, 10.0, 20.0)),
        *(stopped.at(size, f"{size:g} s repeated after an orderly stop", Worker(repeats_s={"restart": size}))
          for size in (1.02, 1.05, 1.1, 2.0)),
        *(killed.at(size, f"exactly once, {size:g} s repeated after a kill", Worker(repeats_s={"kill": size}))
          for size in (0.01, 0.02, 0.05)),
    ]  # fmt: skip


def _overtaken() -> list[Shape]:
    curve = _Curve("out of order (share, in tolerated shares)", _order, detected=2.0)
    return [
        curve.at(size, f"out of order: {size:g} × {SHARE:.1%}", Worker(overtaken_share=size * SHARE))
        for size in (1.0, 1.5, 2.0, 4.0)
    ]


@dataclass(frozen=True, slots=True)
class _Curve:
    """Shapes of one kind by their magnitude. `passes`: how many may pass; 1 where a magnitude may amount to nothing."""

    name: str
    decide: Decide
    detected: float
    passes: float = _MISS

    def at(self, size: float, what: str, worker: Worker) -> Shape:
        detect = 0.99 if size == self.detected else None
        decision = _decision(worker, self.decide)
        return Shape(what, "effect", decision, alpha=self.passes, magnitude=size, detect=detect, curve=self.name)


def _bounds() -> list[Shape]:
    def covering(p: float, n: int) -> Callable[[np.random.Generator], Status]:
        def one(rng: np.random.Generator) -> Status:
            low, high = share_bounds(int(rng.binomial(n, p)), n)
            return Status.PASS if low <= p <= high else Status.FAIL

        return one

    return [
        Shape(f"bounds of a share of {p:g} in {n:,}", "coverage", covering(p, n), alpha=2 * _MISS)
        for p, n in ((0.001, 4000), (0.01, 4000), (0.2, 500))
    ]


def _null(what: str, worker: Worker, decide: Decide) -> Shape:
    return Shape(f"{decide.__name__.strip('_')}: {what}", "null", _decision(worker, decide), alpha=_ALPHA)


def _decision(worker: Worker, decide: Decide) -> Callable[[np.random.Generator], Status]:
    return lambda rng: decide(stretches(worker, rng)).status


def _lost(history: Sequence[Stretch]) -> Check:
    return lost(history, "at-least-once", share=SHARE)


def _lost_at_most_once(history: Sequence[Stretch]) -> Check:
    return lost(history, "at-most-once", share=SHARE)


def _surplus_check(history: Sequence[Stretch], guarantee: Guarantee = "at-least-once") -> Check:
    return duplicated(history, guarantee, share=SHARE, alpha_fail=_ALPHA)


def _surplus_exactly_once(history: Sequence[Stretch]) -> Check:
    return _surplus_check(history, "exactly-once")


def _surplus_calm(history: Sequence[Stretch]) -> Check:
    """Of a worker that nobody disturbed."""
    return _surplus_check([one for one in history if not one.disturbed_ns])


def _order(history: Sequence[Stretch]) -> Check:
    return reordered(history, share=SHARE)
