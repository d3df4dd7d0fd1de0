"""Goodput by the instant of completion, block by block, and the ratio of two stretches of it.

By completion, not by due time: what a server finishes per second is what it can do, whatever piled up before.
The count at a block's edge is interpolated between the completions around it, because whole completions would
add a noise of their own: at 25/s and one-second blocks it would be larger than the server's.

The ratio's interval is Fieller's (J. R. Stat. Soc. B 16, 1954) with the degrees of freedom of Welch (Biometrika 34,
1947). Near 1 it is that of the logarithms; blocks without a completion count as they are, where a mean of
logarithms could not take them, and a collapse that leaves a little at its beginning is still seen as one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from proofload.clock import NS_PER_S

BLOCK_S = 1.0
MOST_BLOCKS = 20
"""Longer stretches get longer blocks: correlation within a block does no harm."""
FEWEST_BLOCKS = 3


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of means with one-sided bounds: `low` at the error rate of a pass, `fail_high` at that of a fail."""

    value: float
    low: float
    high: float
    fail_high: float


def goodput_blocks(done_ns: NDArray[np.int64], begin_ns: int, end_ns: int) -> NDArray[np.float64]:
    """Completions per second in equal blocks of at least BLOCK_S between two instants; none for a shorter stretch.

    `done_ns`: all completions that count, rising; those outside the stretch help at its edges.
    """
    length_s = (end_ns - begin_ns) / NS_PER_S
    blocks = min(MOST_BLOCKS, int(length_s / BLOCK_S + 1e-9))
    if blocks < 1:
        return np.zeros(0)
    edges = np.linspace(begin_ns, end_ns, blocks + 1)
    counts = np.diff(np.interp(edges, done_ns, np.arange(1, len(done_ns) + 1))) if len(done_ns) > 1 else None
    if counts is None or not _inside(done_ns, begin_ns, end_ns):
        return np.zeros(blocks)
    return np.asarray(counts / (length_s / blocks), dtype=np.float64)


def _inside(done_ns: NDArray[np.int64], begin_ns: int, end_ns: int) -> bool:
    first, last = np.searchsorted(done_ns, [begin_ns, end_ns])
    return bool(last > first)


def ratio_of_means(
    above: Sequence[float] | NDArray[np.float64],
    below: Sequence[float] | NDArray[np.float64] | float,
    *,
    alpha_fail: float,
    alpha_pass: float,
) -> Ratio | None:
    """mean(above) / mean(below). None where either has too few finite blocks, or nothing was completed below.

    A number for `below` is a fact without error: what a server completed of a load that it kept up with varies with the
    load and not with the server, which could do at least that.
    """
    top = np.asarray(above, dtype=np.float64)
    bottom = np.atleast_1d(np.asarray(below, dtype=np.float64))
    top, bottom = top[np.isfinite(top)], bottom[np.isfinite(bottom)]
    fixed = isinstance(below, float)
    if len(top) < FEWEST_BLOCKS or (len(bottom) < FEWEST_BLOCKS and not fixed) or not bottom.any():
        return None
    if not top.any():
        return Ratio(0.0, 0.0, 0.0, 0.0)
    parts = [_relative_variance(top)] if fixed else [_relative_variance(top), _relative_variance(bottom)]
    value = float(top.mean() / bottom.mean())
    above_part, below_part = parts[0], parts[1] if len(parts) > 1 else (0.0, 1)
    variance = above_part[0] + below_part[0]
    if variance <= 0.0:
        return Ratio(value, value, value, value)
    freedom = variance**2 / sum(part**2 / free for part, free in parts)

    def bounds(alpha: float) -> tuple[float, float]:
        reach = float(special.stdtrit(freedom, alpha)) ** 2
        room = 1.0 - reach * below_part[0]
        if room <= 0.0:  # what is compared with is not known to differ from nothing
            return 0.0, math.inf
        spread = math.sqrt(max(0.0, 1.0 - room * (1.0 - reach * above_part[0])))
        return max(0.0, value * (1.0 - spread) / room), value * (1.0 + spread) / room

    low, high = bounds(alpha_pass)
    return Ratio(value, low, high, bounds(alpha_fail)[1])


def _relative_variance(blocks: NDArray[np.float64]) -> tuple[float, int]:
    """Squared relative error of the mean, and its degrees of freedom."""
    n = len(blocks)
    return float(blocks.var(ddof=1)) / n / float(blocks.mean()) ** 2, n - 1
