"""Guards on mirrored predictions and on version stamps, the split and the assignment: simulated, decided for real."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from proofload.analysis.assignment import split_seen, wanderers
from proofload.analysis.guard_margins import disagreement
from proofload.analysis.sequential import crossing, share_path
from proofload.records import Status
from proofload.selftest import Shape
from proofload.selftest.trials.canary_guards import ALPHA, GUARD_LIMIT, LENGTH, PASSED, RATE, USERS
from proofload.verdict.rollout import (
    OTHERS,
    GuardSeen,
    answers_to_trip,
    assignment_check,
    guard_check,
    split_check,
)

TOLERATED = 0.01
"""Of mirrored pairs, as the quick scenario has it."""
_PAIRS = 25
"""A second: of a tenth of the traffic, what the baseline got."""
_NEEDED = answers_to_trip(GUARD_LIMIT, TOLERATED)
_SMALL = "a check that the router does what it was told: so little cannot be told in a minute with a thousand users"
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
                    PASSED,
                    magnitude=share,
                    detect=0.99 if share >= 0.05 else None,
                    curve="disagreement",
                )
                for share in (0.01, 0.02, 0.03, 0.05, 0.1)
            ),
            *(
                Shape(f"{share:.0%} of the pairs differ, {n:g} a second", "effect", _pairs(share, n), PASSED, share)
                for share, n in ((0.02, 2.0), (0.03, 8.0))
            ),
            Shape("split as asked, by users with uneven traffic", "null", _split(0.25, 0.25), alpha=ALPHA),
            Shape("split as asked, 5 %", "null", _split(0.05, 0.05), alpha=ALPHA),
            *(
                Shape(
                    f"split {asked:.0%} asked, {seen:.0%} given",
                    "effect",
                    _split(asked, seen),
                    PASSED,
                    magnitude=seen / asked,
                    detect=0.99,
                    curve="split",
                )
                for asked, seen in ((0.25, 0.375), (0.25, 0.5))
            ),
            Shape("split 25% asked, 30% given", "apart", _split(0.25, 0.30), why=_SMALL),
            Shape("every user stays", "null", _assigned(0.0), alpha=ALPHA),
            *(
                Shape(
                    f"{share:.1%} of the users are put anew each time",
                    "effect",
                    _assigned(share),
                    PASSED,
                    magnitude=share,
                    detect=0.99,
                    curve="assignment",
                )
                for share in (0.05, 1.0)
            ),
            Shape("1.0% of the users are put anew each time", "apart", _assigned(0.01), why=_SMALL),
        )


def _pairs(share: float, pairs: float = _PAIRS) -> Decide:
    def decide(rng: np.random.Generator) -> Status:
        trials = rng.poisson(pairs, LENGTH).astype(np.int64)
        hits = rng.binomial(trials, share).astype(np.int64)
        path = share_path(hits, trials, TOLERATED)
        seen = GuardSeen(
            name="predictions",
            log_e=float(path.max(initial=0.0)),
            limit=GUARD_LIMIT,
            tripped=crossing(path, GUARD_LIMIT) is not None,
            bad=int(hits.sum()),
            n=int(trials.sum()),
            blocks=int(trials.sum()),
            needed=_NEEDED,
            told="",
            excess=disagreement(hits, trials, margin=TOLERATED, confidence=1 - PASSED),
            margin=TOLERATED,
            margin_key="",
        )
        return guard_check(seen, ended_early=False).status

    return decide


def _split(asked: float, given: float) -> Decide:
    def decide(rng: np.random.Generator) -> Status:
        user, place = _who(rng), rng.random(USERS)
        seen = split_seen(user, place[user] < given, asked)
        return split_check((seen,), alpha=ALPHA * OTHERS, by_users=True).status

    return decide


def _assigned(wandering: float) -> Decide:
    def decide(rng: np.random.Generator) -> Status:
        user, place = _who(rng), rng.random(USERS)
        restless = rng.random(USERS) < wandering
        where = np.where(restless[user], rng.random(len(user)), place[user])
        both, twice = wanderers(user, where < 0.25)
        return assignment_check(both, twice, 0, 0, alpha=ALPHA * OTHERS).status

    return decide


def _who(rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Some users come twenty times as often as others."""
    return (USERS * rng.random(11 * RATE) ** 2).astype(np.int64)
