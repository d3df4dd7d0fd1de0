"""Quantiles over restarts, bounded by order statistics: exact, whatever the distribution.

A restart is one observation. The number of restarts below the q-quantile is binomial, so the k-th smallest of n
is an upper bound of it with confidence P(Bin(n, q) < k) (David and Nagaraja, Order Statistics, 2003, 7.1). Too
few restarts bound nothing: 5 bound the median from above at 95 % (6 from both sides), 29 the p90, 59 the p95.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from proofload.analysis.finite import finite

CONFIDENCE = 0.95
MEDIAN = 0.5


@dataclass(frozen=True, slots=True)
class RestartQuantile:
    """One quantile over restarts. The median's bounds are two-sided, those of others one-sided each."""

    q: float
    value: float | None
    """None where not even its upper bound is known, and where it lies among restarts that never got there."""
    low: float | None
    high: float | None
    needs: int | None
    """Restarts that an upper bound takes; None when there are enough."""


def restart_quantile(values: Sequence[float], q: float, confidence: float = CONFIDENCE) -> RestartQuantile:
    """`values`: one per restart, inf for one that never got there."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = len(ordered)
    tail = 1.0 - confidence
    if q == MEDIAN:
        tail /= 2.0
    upper = _upper_rank(n, q, tail)
    lower = n + 1 - _upper_rank(n, 1.0 - q, tail) if _upper_rank(n, 1.0 - q, tail) <= n else 0
    if upper > n:
        low = float(ordered[lower - 1]) if lower else None
        return RestartQuantile(q, None, finite(low), None, restarts_needed(q, confidence))
    value = float(np.median(ordered)) if q == MEDIAN else float(ordered[math.ceil(q * n) - 1])
    low = float(ordered[lower - 1]) if lower else None
    return RestartQuantile(q, finite(value), finite(low), finite(float(ordered[upper - 1])), None)


def restarts_needed(q: float, confidence: float = CONFIDENCE) -> int:
    """Restarts for an upper bound of the q-quantile (for q = ½: of both sides)."""
    tail = 1.0 - confidence
    if q == MEDIAN:
        tail /= 2.0
    return math.ceil(math.log(tail) / math.log(q) - 1e-9)


def restarts_for(q: float, confidence: float = CONFIDENCE) -> int:
    """Restarts for an upper bound of the q-quantile, one-sided for every q; q = 1 cannot be bounded and takes 1."""
    return 1 if q >= 1.0 else math.ceil(math.log(1.0 - confidence) / math.log(q) - 1e-9)


def bounded_quantile(n: int, confidence: float = CONFIDENCE) -> float:
    """The highest quantile that n restarts bound from above: the largest of them is its upper bound."""
    return 0.0 if n == 0 else float((1.0 - confidence) ** (1.0 / n))


def _upper_rank(n: int, q: float, tail: float) -> int:
    """The smallest k whose order statistic is above the q-quantile but for a chance of `tail`; n + 1: none is."""
    ranks = np.arange(n + 1)  # P(Bin(n, q) ≥ k) for k = 0 … n
    enough = np.flatnonzero(stats.binom.sf(ranks - 1, n, q) <= tail)
    return int(enough[0]) if len(enough) else n + 1
