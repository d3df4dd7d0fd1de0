"""Memory that rises and falls, over and over: what its troughs and peaks say of growth underneath.

A trough is seen at some reading after the fall, a peak at some reading before it: a trough is seen too high, and a peak
too low, by at most what the quantity rises between that reading and the one on the other side of the fall. (Readings
come late, or not at all, so that is not the same for all.) So every pair of troughs bounds a steady growth, and so does
every pair of peaks; the least of a kind's bounds holds (set membership), the larger of the two kinds' is given.
Where no steady growth fits all troughs within that doubt, they scatter by themselves, and the doubt is widened.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from proofload.analysis.trend import Column

FALL = 0.25
"""A fall ends a cycle when it is deeper than this share of the range."""
FEWEST_FALLS = 3
_WIDENING = 3.0


@dataclass(frozen=True, slots=True)
class Cycles:
    """`falls` complete falls; growth underneath is at most `high` (units per second) and at least `low`."""

    falls: int
    low: float
    high: float


def cycles(t: Column, y: Column) -> Cycles | None:
    """None for a series with fewer than three falls, or one whose falls are not its largest changes."""
    spread = float(np.ptp(y)) if len(y) else 0.0
    if spread <= 0.0:
        return None
    peaks, troughs = _turns(y, FALL * spread)
    if len(troughs) < FEWEST_FALLS:
        return None
    gaps, rises = np.diff(t), np.diff(y)
    rate = float(np.quantile((rises / gaps)[rises > 0], 0.95)) if (rises > 0).any() else 0.0
    if rate * float(np.median(gaps)) > FALL * spread:  # noise about a level, not cycles
        return None
    high_by = rate * gaps[np.array(troughs) - 1]
    low_by = rate * gaps[np.array(peaks)]
    exact = np.zeros(len(troughs))
    troughs_low, troughs_high = _bounds(t[troughs], y[troughs], doubt_up=high_by, doubt_down=exact)
    peaks_low, peaks_high = _bounds(t[peaks], y[peaks], doubt_up=exact, doubt_down=low_by)
    return Cycles(len(troughs), min(troughs_low, peaks_low), max(troughs_high, peaks_high))


def _turns(y: Column, fall: float) -> tuple[list[int], list[int]]:
    """Indices of the peak before each deep fall and of the trough after it. A fall that the series ends in counts."""
    peaks: list[int] = []
    troughs: list[int] = []
    top, bottom, falling = 0, 0, False
    for index in range(1, len(y)):
        if not falling:
            if y[index] >= y[top]:
                top = index
            elif y[top] - y[index] > fall:
                falling, bottom = True, index
        elif y[index] <= y[bottom]:
            bottom = index
        else:
            peaks.append(top)
            troughs.append(bottom)
            falling, top = False, index
    return peaks, troughs


def _bounds(t: Column, y: Column, *, doubt_up: Column, doubt_down: Column) -> tuple[float, float]:
    """The least and the most that a steady growth can be, where each `y` is too high by up to `doubt_up` and too low by
    up to `doubt_down`."""
    first, second = np.triu_indices(len(t), 1)
    rise, span = y[second] - y[first], t[second] - t[first]
    low = float(np.max((rise - doubt_up[second] - doubt_down[first]) / span))
    high = float(np.min((rise + doubt_up[first] + doubt_down[second]) / span))
    if low <= high:
        return low, high
    middle = float(np.median(rise / span))
    residuals = y - middle * t
    doubt = _WIDENING * float(np.ptp(residuals)) / 2.0 + float(np.max(doubt_up + doubt_down))
    reach = float(np.max(span))
    return middle - doubt / reach, middle + doubt / reach
