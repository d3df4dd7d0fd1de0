"""Shares and means seen at the peak: slow looks at the liveness page, excess not refused, threads that want to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from proofload.records import Status
from proofload.selftest import Shape
from proofload.verdict.peak import Errors, excess_check, refusal_check, responsiveness_check, threads_check

ALPHA = 0.001
ERRORS = Errors(0.001 / 8, 0.01)
LOOKS, SLOW_LIMIT = 45, 0.3
EXCESS, REFUSED = 200, 0.9
SEEN, THREADS = 26, 2.5


def create() -> Peers:
    return Peers()


class Peers:
    scenario = "peak-10x"
    decides = (
        "its liveness page waits for work; its excess is not refused, or late; more threads than cores want to run"
    )

    def shapes(self) -> Sequence[Shape]:
        return (*_looks(), *_excess(), *_refusals(), *_threads())


def _looks() -> Sequence[Shape]:
    nulls = [
        Shape(f"responsiveness: {share:.0%} slow by chance", "null", _slow(share), alpha=ALPHA)
        for share in (0.0, 0.05, 0.15, SLOW_LIMIT)
    ]
    effects = [
        Shape(
            f"responsiveness: {share:.0%} slow",
            "effect",
            _slow(share),
            alpha=ERRORS.good,
            magnitude=share / SLOW_LIMIT,
            detect=0.99 if share >= 0.8 else None,
            curve="share of slow looks over what is allowed (45 looks)",
        )
        for share in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    ]
    return (*nulls, *effects)


def _excess() -> Sequence[Shape]:
    nulls = [
        Shape("excess: all but 3 % refused", "null", _unrefused(0.03, 1), alpha=ALPHA),
        Shape("excess: 3 % not, in bursts of five", "null", _unrefused(0.03, 5), alpha=ALPHA),
        Shape("excess: 10 % not refused, the limit", "null", _unrefused(0.1, 1), alpha=ALPHA),
    ]
    effects = [
        Shape(
            f"excess: {share:.0%} not refused",
            "effect",
            _unrefused(share, burst),
            alpha=ERRORS.good,
            magnitude=share / (1.0 - REFUSED),
            detect=0.99 if share >= 0.5 else None,
            curve="share of the excess not refused over what is allowed",
        )
        for share, burst in ((0.2, 1), (0.3, 1), (0.5, 1), (0.8, 5), (1.0, 1))
    ]
    return (*nulls, *effects)


def _refusals() -> Sequence[Shape]:
    return (
        Shape("refusals: fast", "null", _refusing(1.0), alpha=ALPHA),
        Shape("refusals: one in fifty late, in spells", "null", _refusing(0.98), alpha=ALPHA),
        Shape("refusals: half of them late", "effect", _refusing(0.5), alpha=ERRORS.good, magnitude=10.0, detect=0.99),
    )


def _threads() -> Sequence[Shape]:
    nulls = [
        Shape(f"threads: {mean:g} want to run", "null", _running(mean), alpha=ALPHA) for mean in (1.0, 1.8, THREADS)
    ]
    effects = [
        Shape(
            f"threads: {mean:g} want to run, one core",
            "effect",
            _running(mean),
            alpha=ERRORS.good,
            magnitude=mean / THREADS,
            detect=0.99 if mean >= 10.0 else None,
            curve="threads that want to run over what is allowed",
        )
        for mean in (3.0, 4.0, 6.0, 10.0, 16.0)
    ]
    return (*nulls, *effects)


def _slow(share: float) -> Callable[[np.random.Generator], Status]:
    return lambda rng: responsiveness_check(rng.random(LOOKS) < share, SLOW_LIMIT, 20.0, ERRORS).status


def _unrefused(share: float, burst: int) -> Callable[[np.random.Generator], Status]:
    def decide(rng: np.random.Generator) -> Status:
        bad = np.repeat(rng.random(EXCESS // burst) < share, burst)
        ok = np.zeros(len(bad), dtype=np.bool_)
        return excess_check(ok, ~bad, REFUSED, ERRORS, overload_sought=True).status

    return decide


def _refusing(in_time: float) -> Callable[[np.random.Generator], Status]:
    def decide(rng: np.random.Generator) -> Status:
        late = np.repeat(rng.random(EXCESS // 4) >= in_time, 4)
        check = refusal_check(np.where(late, 3000.0, 3.0), 1000.0, ERRORS)
        return Status.INCONCLUSIVE if check is None else check.status

    return decide


def _running(mean: float) -> Callable[[np.random.Generator], Status]:
    def decide(rng: np.random.Generator) -> Status:
        seen: NDArray[np.float64] = rng.binomial(round(4 * mean), 0.25, SEEN).astype(np.float64)
        return threads_check(seen, 1, THREADS, ERRORS).status

    return decide
