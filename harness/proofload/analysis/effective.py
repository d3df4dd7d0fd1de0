"""How many independent samples a run of dependent ones is worth.

Requests of one run are correlated: they share a queue, a cache, a noisy neighbour. The design effect
is the factor by which the variance of a share exceeds that of independent samples; n divided by it is
the effective n. It is estimated from batch means, and the estimate's own noise (few batches) is paid
for by Student's t in place of the normal quantile, as in Korn and Graubard's interval for shares
from clustered surveys (Survey Methodology 24, 1998).
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from scipy import stats

BATCHES = 20


def batch_count(n: int) -> int:
    """Batches that n samples are cut into: 20, fewer where a batch would hold less than two."""
    return min(BATCHES, n // 2)


def design_effect(hits: NDArray[np.bool_]) -> float:
    """Variance of the share of True over that of independent samples, at least 1; `hits` in time order.

    An indicator that never changes shows no correlation and gives 1. With fewer than four samples
    nothing can be said: the whole stretch counts as one sample.
    """
    n = len(hits)
    batches = batch_count(n)
    if batches < 2:
        return float(max(n, 1))
    size = n // batches
    used = size * batches
    counts = np.count_nonzero(hits[:used].reshape(batches, size), axis=1)
    share = float(np.count_nonzero(hits)) / n
    if share <= 0.0 or share >= 1.0:
        return 1.0
    variance = float(np.var(counts / size, ddof=1))
    return max(1.0, size * variance / (share * (1.0 - share)))


def effective_size(n: int, effect: float, confidence: float, *, wary: bool = False) -> float:
    """n over the design effect, shrunk by (z/t)² because the design effect was estimated from few batches.

    `wary` halves the degrees of freedom: for one-sided claims that an estimate which happens to be too
    small would tip (see rule.py).
    """
    batches = batch_count(n)
    if batches < 2:
        return min(float(n), 1.0)
    freedom = batches - 1
    return n / effect * _t_shrink(max(1, freedom // 2) if wary else freedom, confidence)


@functools.lru_cache(maxsize=256)
def _t_shrink(freedom: int, confidence: float) -> float:
    tail = (1.0 - confidence) / 2.0
    return float((stats.norm.isf(tail) / stats.t.isf(tail, freedom)) ** 2)
