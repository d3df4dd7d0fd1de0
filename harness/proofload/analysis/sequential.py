"""Tests that may be looked at all the time: e-processes, and the bets they are made of.

An e-process starts at 1, and where there is no harm its chance of ever reaching 1/α is at most α (Ville, 1939),
however often one looks. All values here are natural logarithms.

*Sign test.* Each block of time gives a sign: +1 where the canary did worse than the same number of baseline answers,
−1 where it did better, 0 where neither. Without harm + is no likelier than −, whatever bursts and stalls do within a
block; so one bets at even odds that the next sign is +, with a mixture of stakes (Robbins, 1970). Requests are no
unit for it: they fail in bursts.

*Bernoulli test.* Counts of disagreements between answers to the same request, against a share that is tolerated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STAKES = (0.6, 0.7, 0.8, 0.9, 0.97)
"""Chances of a + that are bet on, in equal parts."""
SHARES = (0.003, 0.01, 0.05, 0.2, 0.6)
"""Shares of disagreement that are bet on, in equal parts, as far as they are above what is tolerated."""

Path = NDArray[np.float64]
"""Log e-value after each block."""


def sign_path(signs: NDArray[np.int8], starts: Sequence[int] = (0,)) -> Path:
    """The log e-value after each block.

    `starts`: blocks at which something changed (a stage began). The first bet begins with half of the stake, one that
    knows nothing of the past begins at each later start: what was harmless for hours must not hide what begins now.
    The sum of e-processes weighted to 1 is one.
    """
    if not len(signs):
        return np.zeros(0)
    weights = _weights(len(starts))
    parts = []
    for start, weight in zip(starts, weights, strict=True):
        later = signs[start:]
        wins, losses = np.cumsum(later > 0), np.cumsum(later < 0)
        part = np.full(len(signs), math.log(weight))
        part[start:] += _mixed([wins * math.log(2 * p) + losses * math.log(2 * (1 - p)) for p in STAKES])
        parts.append(part)
    return np.asarray(np.logaddexp.reduce(np.array(parts), axis=0))


def share_path(hits: NDArray[np.int64], trials: NDArray[np.int64], tolerated: float) -> Path:
    """The log e-value after each block of `trials`, `hits` of which disagreed, against a share of `tolerated`."""
    bets = [share for share in SHARES if share > 2 * tolerated] or [(1 + tolerated) / 2]
    seen, missed = np.cumsum(hits), np.cumsum(trials - hits)
    return _mixed([seen * math.log(q / tolerated) + missed * math.log((1 - q) / (1 - tolerated)) for q in bets])


def threshold(guards: int, alpha: float) -> float:
    """The log e-value at which one of so many guards trips, with all of them together erring with chance α."""
    return math.log(guards / alpha)


def crossing(path: Path, limit: float) -> int | None:
    """The first block after which the limit is reached."""
    over = np.flatnonzero(path >= limit)
    return int(over[0]) if len(over) else None


def wins_needed(limit: float, starts: int = 1) -> int:
    """How many blocks, all of them +, it takes to reach the limit from the first start."""
    wins = 0
    while wins < 10_000:
        wins += 1
        if sign_path(np.ones(wins, np.int8), (0, *(wins,) * (starts - 1)))[-1] >= limit:
            break
    return wins


def _weights(starts: int) -> list[float]:
    return [1.0] if starts == 1 else [0.5] + [0.5 / (starts - 1)] * (starts - 1)


def _mixed(paths: Sequence[Path]) -> Path:
    return np.asarray(np.logaddexp.reduce(np.array(paths), axis=0) - math.log(len(paths)))
