"""What a block of time says about two versions: the bad answers of the one against those of as many of the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
AT_MOST = 3
"""So many bad answers of one user are counted."""


@dataclass(frozen=True, slots=True)
class Match:
    """One block: `size` answers of each version, how many of them were bad, and who did worse (+1: the canary)."""

    size: int
    canary: int
    baseline: int
    sign: int


def matched(canary: Flags, baseline: Flags, before: Flags | None = None) -> Match:
    """Compare as many answers of each as both have, spread evenly over the block.

    `before`: a block of the baseline when it had all the traffic. With it, the canary did worse only when it did
    worse than both, and better when it did better than either: a version that carries more of the load than the other
    is slower for that alone. Either comparison is fair where there is no harm, so + stays no likelier than −.
    """
    size = min(len(canary), len(baseline))
    if before is not None and len(before):
        size = min(size, len(before))
    if not size:
        return Match(0, 0, 0, 0)
    bad, good = _count(canary, size), _count(baseline, size)
    if before is None or not len(before):
        return Match(size, bad, good, (bad > good) - (bad < good))
    then = _count(before, size)
    return Match(size, bad, good, (bad > max(good, then)) - (bad < good or bad < then))


def first_bad(user: NDArray[np.int64], bad: Flags, counted: NDArray[np.int64], proven: Flags | None = None) -> Flags:
    """Which bad answers are to be counted; `counted[u]` says, and is made to say, how many of a user's have been.

    A user's first counts, and two more where the request has been answered well before (`proven`): then it does not
    fail for what it asks. A user whom everything fails, whoever answers, would else be counted again and again. Users
    below 0 are not known by name: each of their requests stands for itself.
    """
    flags = bad & (user < 0)
    places = np.flatnonzero(bad & (user >= 0))
    if len(places):
        may = (counted[user[places]] == 0) if proven is None else (counted[user[places]] == 0) | proven[places]
        places = places[may & (counted[user[places]] < AT_MOST)]
        who, first = np.unique(user[places], return_index=True)  # one in a block: two are of one cause
        flags[places[first]] = True
        counted[who] += 1
    return flags


def _count(flags: Flags, size: int) -> int:
    n = len(flags)
    if n == size:
        return int(np.count_nonzero(flags))
    return int(np.count_nonzero(flags[np.arange(size) * n // size]))
