"""Simulated readings of a quick soak: every half second for 38 s, growth in units of the margin.

The margin is 8 (MiB), as in a quick run of a server without a memory limit; an allocator's granule is 1.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from proofload.analysis.trend import SETTLING, Column
from proofload.procedures._soak.allotment import each
from proofload.verdict.soak import Rule

SECONDS = 38.0
READINGS = 76
MARGIN = 8.0
GRANULE = 1.0
ALPHA_FAIL = each(0.001)
"""What one check may use of a scenario's."""
T: Column = np.arange(READINGS) * SECONDS / READINGS
WINDOW = SECONDS * (1.0 - SETTLING)


def rule(granule: float = GRANULE) -> Rule:
    return Rule(MARGIN, granule, ALPHA_FAIL)


def noise(rng: np.random.Generator, sd: float = 0.1, phi: float = 0.5) -> Column:
    """AR(1), of this standard deviation in units of the margin."""
    shocks = rng.normal(0.0, sd * MARGIN * np.sqrt(1.0 - phi * phi), READINGS)
    shocks[0] = rng.normal(0.0, sd * MARGIN)
    found: Column = lfilter([1.0], [1.0, -phi], shocks)
    return found


def leak(margins: float) -> Column:
    """Steady growth by so many margins in the judged window."""
    return margins * MARGIN * T / WINDOW


def sawtooth(rng: np.random.Generator, shortest_s: float, longest_s: float) -> Column:
    """Up to six margins high, rising and falling at once, at a phase of its own."""
    period = rng.uniform(shortest_s, longest_s)
    height = MARGIN * rng.uniform(1.0, 6.0)
    found: Column = height * (((T + rng.uniform(0.0, period)) % period) / period)
    return found


def fill(rng: np.random.Generator, earliest: float, latest: float) -> Column:
    """Fills evenly and stops at some share of the run."""
    until = rng.uniform(earliest, latest) * SECONDS
    found: Column = MARGIN * rng.uniform(1.0, 8.0) * np.minimum(T / until, 1.0)
    return found


def slow_fill(rng: np.random.Generator) -> Column:
    """Fills ever more slowly: exponentially, with a time constant of a third to all of the run."""
    found: Column = MARGIN * rng.uniform(2.0, 8.0) * (1.0 - np.exp(-T / (SECONDS * rng.uniform(0.33, 1.0))))
    return found


def steps(rng: np.random.Generator) -> Column:
    """One to four arenas or tables, at any time."""
    at = rng.uniform(0.0, SECONDS, rng.integers(1, 5))
    found: Column = np.sum(MARGIN * rng.uniform(0.5, 8.0, len(at)) * (T[:, None] > at), axis=1)
    return found


def bursts(rng: np.random.Generator) -> Column:
    """A few seconds of a large working set, two to five times."""
    found = np.zeros(READINGS)
    for begin in rng.uniform(0.0, SECONDS, rng.integers(2, 6)):
        found[(begin < T) & (begin + rng.uniform(0.5, 4.0) > T)] += MARGIN * rng.uniform(1.0, 6.0)
    return found


def stalls(rng: np.random.Generator, values: Column) -> tuple[Column, Column]:
    """Readings that did not come for up to two seconds, twice."""
    kept = np.ones(READINGS, np.bool_)
    for begin in rng.uniform(0.0, SECONDS, 2):
        kept &= ~((begin < T) & (begin + rng.uniform(0.5, 2.0) > T))
    return T[kept], values[kept]
