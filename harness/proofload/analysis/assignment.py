"""Was the traffic split as asked, and does a user stay where he was put?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln
from scipy.stats import binom

from proofload.analysis.shares import two_sided_bounds

_PRIOR = 200.0
"""How much the alternative clings to the share that was asked: as if so many had been seen at it."""


@dataclass(frozen=True, slots=True)
class SplitSeen:
    """What became of one share that was asked for. `units` are users where they are known, else requests."""

    share: float
    units: int
    on_canary: int
    log_e: float
    """Largest log e-value against the share that was asked for, as the units came in."""

    @property
    def seen(self) -> float | None:
        return self.on_canary / self.units if self.units else None


def split_seen(user: NDArray[np.int64], on_canary: NDArray[np.bool_], share: float) -> SplitSeen:
    """Sequential sample-ratio test for requests in order of time (beta-binomial mixture; Lindon and Malek, 2022).

    Each user counts once, at his first request: users, not requests, are what chance assigns. Requests of no user
    (below 0) count each. A share of 0 or 1 leaves nothing to test: one unit on the wrong side refutes it.
    """
    known = user >= 0
    first = np.ones(len(user), np.bool_)
    if known.any():
        first[:] = ~known
        places = np.flatnonzero(known)
        first[places[np.unique(user[places], return_index=True)[1]]] = True
    arms = on_canary[first]
    n, k = len(arms), int(np.count_nonzero(arms))
    if not n:
        return SplitSeen(share, 0, 0, 0.0)
    if share in {0.0, 1.0}:
        return SplitSeen(share, n, k, math.inf if k != n * share else 0.0)
    count = np.arange(1, n + 1)
    hits = np.cumsum(arms)
    a, b = _PRIOR * share, _PRIOR * (1 - share)
    path = (
        betaln(a + hits, b + count - hits) - betaln(a, b) - hits * math.log(share) - (count - hits) * math.log1p(-share)
    )
    return SplitSeen(share, n, k, float(max(0.0, path.max())))


def wanderers(user: NDArray[np.int64], on_canary: NDArray[np.bool_]) -> tuple[int, int]:
    """(users seen on both sides, users seen more than once) among requests made while no share moved."""
    known = user >= 0
    who, arms = user[known], on_canary[known]
    if not len(who):
        return 0, 0
    there, every = np.bincount(who, weights=arms), np.bincount(who)
    return int(np.count_nonzero((there > 0) & (there < every))), int(np.count_nonzero(every > 1))


def leavers(sides: Sequence[tuple[NDArray[np.int64], NDArray[np.bool_]]]) -> tuple[int, int]:
    """(users who left the canary though its share grew, users who could have) over stages in order.

    `sides`: (user, on canary) of each stage's requests, the shares rising.
    """
    left: set[int] = set()
    could: set[int] = set()
    before: set[int] = set()
    for user, on_canary in sides:
        known = user >= 0
        here = set(user[known & on_canary].tolist())
        gone = set(user[known & ~on_canary].tolist())
        could |= before & (here | gone)
        left |= before & gone
        before |= here
    return len(left), len(could)


def share_bounds(count: int, n: int, confidence: float = 0.99) -> tuple[float, float]:
    """Two-sided exact bounds of a share; (0, 1) where nothing was seen."""
    return two_sided_bounds(count, n, confidence)


def too_many(count: int, n: int, *, tolerated: float, alpha: float) -> bool:
    """Would chance bring so many among n at most with probability alpha, at the share that is tolerated?"""
    return bool(count) and float(binom.sf(count - 1, n, tolerated)) <= alpha
