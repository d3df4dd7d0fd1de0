"""What a block of time says about two versions: the bad answers of the one against those of as many of the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


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


def first_bad(user: NDArray[np.int64], bad: Flags, known: NDArray[np.bool_], proven: Flags | None = None) -> Flags:
    """Which bad answers are their user's first; `known[u]` says, and is made to say, who has had one.

    Users below 0 are not known by name: each of their requests stands for itself. A user whom everything fails, on
    whichever side he is, would else be counted again and again. `proven`: requests that have been answered well
    before; when they fail it is not for what they ask, and each counts.
    """
    flags = bad & (user < 0)
    if proven is not None:
        flags |= bad & proven
    places = np.flatnonzero(bad & (user >= 0))
    if len(places):
        who, first = np.unique(user[places], return_index=True)
        new = ~known[who]
        flags[places[first[new]]] = True
        known[who] = True
    return flags


def _count(flags: Flags, size: int) -> int:
    n = len(flags)
    if n == size:
        return int(np.count_nonzero(flags))
    return int(np.count_nonzero(flags[np.arange(size) * n // size]))
