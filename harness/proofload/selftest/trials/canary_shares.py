"""Guards on mirrored predictions and on version stamps, the split and the assignment: simulated, decided for real."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from proofload.analysis.assignment import split_seen, wanderers
from proofload.analysis.sequential import crossing, share_path, threshold
from proofload.records import Status
from proofload.selftest import Shape
from proofload.selftest.trials.canary_guards import ALPHA, GUARDS, LENGTH, RATE, USERS
from proofload.verdict.rollout import assignment_check, split_check

TOLERATED = 0.001
_PAIRS = RATE // 10
Decide = Callable[[np.random.Generator], Status]


def create() -> CanaryShares:
    return CanaryShares()


class CanaryShares:
    """See `proofload.selftest.Trial`."""

    scenario = "canary-rollback"
    decides = "mirrored predictions differ; the split is not as asked; users change sides"

    def shapes(self) -> Sequence[Shape]:
        return (
            Shape("pairs agree", "null", _pairs(0.0), alpha=ALPHA),
            Shape("pairs differ as often as tolerated", "null", _pairs(TOLERATED), alpha=ALPHA),
            *(
                Shape(
                    f"{share:.1%} of the pairs differ",
                    "effect",
                    _pairs(share),
                    magnitude=share,
                    detect=0.99 if share >= 0.02 else None,
                    curve="disagreement",
                )
                for share in (0.005, 0.01, 0.02, 0.05)
            ),
            Shape("split as asked, by users with uneven traffic", "null", _split(0.25, 0.25), alpha=ALPHA),
            Shape("split as asked, 5 %", "null", _split(0.05, 0.05), alpha=ALPHA),
            *(
                Shape(
                    f"split {asked:.0%} asked, {seen:.0%} given",
                    "effect",
                    _split(asked, seen),
                    magnitude=seen / asked,
                    detect=0.99 if seen / asked >= 1.5 else None,
                    curve="split",
                )
                for asked, seen in ((0.25, 0.30), (0.25, 0.375), (0.25, 0.5))
            ),
            Shape("every user stays", "null", _assigned(0.0), alpha=ALPHA),
            *(
                Shape(
                    f"{share:.1%} of the users are put anew each time",
                    "effect",
                    _assigned(share),
                    magnitude=share,
                    detect=0.99 if share >= 0.05 else None,
                    curve="assignment",
                )
                for share in (0.01, 0.05, 1.0)
            ),
        )


def _pairs(share: float) -> Decide:
    def decide(rng: np.random.Generator) -> Status:
        trials = rng.poisson(_PAIRS, LENGTH).astype(np.int64)
        hits = rng.binomial(trials, share).astype(np.int64)
        tripped = crossing(share_path(hits, trials, TOLERATED), threshold(GUARDS, ALPHA))
        return Status.PASS if tripped is None else Status.FAIL

    return decide


def _split(asked: float, given: float) -> Decide:
    def decide(rng: np.random.Generator) -> Status:
        user, place = _who(rng), rng.random(USERS)
        seen = split_seen(user, place[user] < given, asked)
        return split_check((seen,), alpha=ALPHA, by_users=True).status

    return decide


def _assigned(wandering: float) -> Decide:
    def decide(rng: np.random.Generator) -> Status:
        user, place = _who(rng), rng.random(USERS)
        restless = rng.random(USERS) < wandering
        where = np.where(restless[user], rng.random(len(user)), place[user])
        both, twice = wanderers(user, where < 0.25)
        return assignment_check(both, twice, 0, 0, alpha=ALPHA).status

    return decide


def _who(rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Some users come twenty times as often as others."""
    return (USERS * rng.random(11 * RATE) ** 2).astype(np.int64)
