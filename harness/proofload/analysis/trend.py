"""How fast a quantity grows: a robust slope with bounds, from block means.

Readings of one process are correlated, so they are averaged over blocks of equal time first; the slope is
Theil and Sen's median of the pairwise slopes, its bounds Sen's (1968), from the distribution of Kendall's S.
Allocators grow in steps (arenas, tables): a few steps upwards are taken out and told, for they are no trend.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.ndimage import median_filter

Column = NDArray[np.float64]

SETTLING = 0.25
"""The first part of a run says nothing of its trend: caches fill, pools open."""
BLOCKS = 12
FEWEST_BLOCKS = 6
STEP_SHARE = 0.1
STEP_SDS = 6.0
_CALMED = 9
MOST_STEPS = 4
"""More than these are no accidents: growth that goes on in steps."""


@dataclass(frozen=True, slots=True)
class Slope:
    """Units per second; the bounds are one-sided, each at its own error rate."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Stepless:
    """A series without its few large steps upwards."""

    values: Column
    steps: Column
    """What was taken out, step by step; empty where nothing was, or where there were too many to be accidents."""
    at: NDArray[np.int64]
    """The index of the first value after each step."""


@functools.lru_cache(maxsize=1024)
def _pairs(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.triu_indices(n, 1)


@functools.lru_cache(maxsize=4096)
def _reach(n: int, alpha: float) -> float:
    """How far Kendall's S may be from 0 by chance, one-sided."""
    return float(stats.norm.isf(alpha) * np.sqrt(n * (n - 1) * (2 * n + 5) / 18.0))


def slope(t: Column, y: Column, *, alpha_low: float, alpha_high: float) -> Slope:
    """Theil and Sen's slope. Fewer than three points have one without bounds (± infinity)."""
    n = len(t)
    if n < 2:
        return Slope(0.0, -np.inf, np.inf)
    first, second = _pairs(n)
    each = np.sort((y[second] - y[first]) / (t[second] - t[first]))
    pairs = len(each)
    below = int((pairs - _reach(n, alpha_low)) / 2.0)
    above = int((pairs - _reach(n, alpha_high)) / 2.0)
    return Slope(
        value=float(np.median(each)),
        low=float(each[below - 1]) if below >= 1 else -np.inf,
        high=float(each[pairs - above]) if above >= 1 else np.inf,
    )


def settled(t: Column, y: Column, share: float = SETTLING) -> tuple[Column, Column]:
    """The series without its first part (a share of its time)."""
    if not len(t):
        return t, y
    first = int(np.searchsorted(t, t[0] + share * (t[-1] - t[0])))
    return t[first:], y[first:]


def latter(t: Column, y: Column, share: float) -> tuple[Column, Column]:
    """The last part of a series."""
    return settled(t, y, 1.0 - share)


def block_means(t: Column, y: Column, blocks: int = BLOCKS) -> tuple[Column, Column]:
    """Means of instants and values over stretches of equal time; stretches without a reading are left out."""
    n = len(t)
    if n <= blocks:
        return t, y
    edges = np.linspace(t[0], t[-1], blocks + 1)
    edges[-1] = np.inf
    which = np.searchsorted(edges, t, side="right") - 1
    counts = np.bincount(which, minlength=blocks)
    kept = counts > 0
    return (
        np.bincount(which, t, blocks)[kept] / counts[kept],
        np.bincount(which, y, blocks)[kept] / counts[kept],
    )


def calmed(y: Column) -> Column:
    """The median over nine neighbours: without bursts that last for fewer than half of them."""
    found: Column = median_filter(y, _CALMED, mode="nearest")
    return found


def stepless(t: Column, y: Column, least: float = 0.0) -> Stepless:
    """Without upward jumps above a tenth of the range, six robust standard deviations of the changes, and `least`.

    A change is what exceeds the typical growth in the time between two readings, so that a gap makes no step.
    """
    none = Stepless(y, np.zeros(0), np.zeros(0, np.int64))
    if len(y) < 8:
        return none
    spans = np.diff(t)
    rise = np.diff(y)
    changes = rise - float(np.median(rise / spans)) * spans
    spread = 1.4826 * float(np.median(np.abs(changes - np.median(changes))))
    least = max(least, STEP_SHARE * float(np.ptp(y)), STEP_SDS * spread)
    jumps = np.flatnonzero(changes > least) if least > 0 else np.zeros(0, np.int64)
    if not len(jumps) or len(jumps) > MOST_STEPS:
        return none
    taken = np.zeros(len(y))
    taken[jumps + 1] = changes[jumps]
    return Stepless(y - np.cumsum(taken), changes[jumps], jumps + 1)


def deepest_fall(y: Column) -> float:
    """The largest fall from a level reached before, as a share of the range; 0 for a series that never falls."""
    spread = float(np.ptp(y)) if len(y) else 0.0
    return float(np.max(np.maximum.accumulate(y) - y)) / spread if spread > 0 else 0.0


def widest_gap(t: Column, begin: float, end: float) -> float:
    """The longest stretch without a reading between two instants, as a share of the stretch between them."""
    inside = t[(t >= begin) & (t <= end)]
    edges = np.concatenate(([begin], inside, [end]))
    return float(np.max(np.diff(edges))) / (end - begin) if end > begin else 1.0
