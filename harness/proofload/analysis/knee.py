"""The knee of a latency-against-load curve: where latency stops rising gently.

Kneedle (Satopää et al., 2011) on the logarithm of latency: both axes scaled to 0–1, the knee is where the curve
lies farthest below the straight line between its ends.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FEWEST = 4
FLAT = 1.5
"""A curve whose latency grows by less than this factor has no knee."""
BEND = 0.2
"""How far below the line, in parts of the whole rise, a knee must lie: a straight line has none."""


def knee(rates_rps: Sequence[float], latencies_ms: Sequence[float]) -> float | None:
    """The rate at the knee, one of `rates_rps`; None for fewer than four rates, a flat or a straight curve.

    Rates tried several times count with their median latency; dips are noise, so the curve is the
    running maximum.
    """
    rates = np.unique(np.asarray(rates_rps, dtype=np.float64))
    if len(rates) < FEWEST:
        return None
    given = np.asarray(rates_rps, dtype=np.float64)
    latency = np.asarray(latencies_ms, dtype=np.float64)
    if not np.all(latency > 0.0):
        return None
    curve = np.maximum.accumulate(np.log([np.median(latency[given == rate]) for rate in rates]))
    rise = curve[-1] - curve[0]
    if rise < np.log(FLAT):
        return None
    below = (rates - rates[0]) / (rates[-1] - rates[0]) - (curve - curve[0]) / rise
    best = int(np.argmax(below))
    return float(rates[best]) if below[best] >= BEND else None
