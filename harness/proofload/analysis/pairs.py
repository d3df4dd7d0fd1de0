"""Two options over pairs of server lifetimes: by which factor they differ, and how far a target differs from itself.

The unit is the lifetime: requests of one share a memory layout, a page cache, a neighbour on the host. A pair is one
lifetime of each option, one after the other; its value is the logarithm of their ratio, so that what slows the
machine for minutes cancels.

The interval is Student's t on a trimmed mean (Tukey and McLaughlin, Sankhyā A 25, 1963): from ten pairs on, one in
six is left out at either end, so that a lifetime or two that something disturbed decide nothing. That costs one more
degree of freedom: without it, a nominal 0.33 % interval over twelve normal pairs misses 0.48 % of the time, with it
0.35 %. A bootstrap over so few pairs misses more often. Beside it stands a test that assumes no distribution: if an
option is compared with itself, the sign of each pair is a coin's. Signs are counted and not weighed by rank: with one
lifetime in ten disturbed, something 15 % slower is found in 63 % of simulated comparisons, by ranks in 36 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

FEWEST = 3
"""Values below which there is no interval."""
SIGN_FLIPS_FROM = 8
"""Pairs from which the signs alone can show something: fewer come out alike by chance too often."""
TRIMMED_FROM = 10
"""Values from which one in six is left out at either end."""
FLOOR_LEVEL = 0.95
MOST_PAIRS = 500
"""What would take more than these is not called settled by more of them."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over lifetimes or pairs, with what it may be wrong by."""

    n: int
    value: float
    low: float
    high: float
    error: float
    """Standard error."""
    freedom: int


@dataclass(frozen=True, slots=True)
class SignFlips:
    """The chance of at least as many pairs on one side as there are, when the sign of each is a coin's."""

    above: float
    below: float


def estimate(
    values: Sequence[float], *, alpha: float, trimmed: bool = True, least_error: float = 0.0
) -> Estimate | None:
    """The mean of values and the interval that misses the truth at a rate `alpha`; None for fewer than FEWEST.

    `trimmed` False: every value counts in full. `least_error`: what the standard error is at least, where values can
    be alike for want of resolution.
    """
    n = len(values)
    if n < FEWEST or not all(math.isfinite(value) for value in values):
        return None
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    cut = _cut(n) if trimmed else 0
    inner = ordered[cut : n - cut]
    winsorized = np.clip(ordered, inner[0], inner[-1])
    error = float(np.std(winsorized, ddof=1)) / ((1.0 - 2.0 * cut / n) * math.sqrt(n))
    error = max(error, least_error)
    freedom = _freedom(n, cut)
    value, reach = float(inner.mean()), _t(alpha / 2.0, freedom) * error
    return Estimate(n, value, value - reach, value + reach, error, freedom)


def sign_flips(values: Sequence[float]) -> SignFlips:
    """Exact. Pairs without a difference are on neither side."""
    above, below = sum(value > 0.0 for value in values), sum(value < 0.0 for value in values)
    return SignFlips(_coins(above, above + below), _coins(below, above + below))


def noise_floor(histories: Sequence[Sequence[float]], pairs: int) -> float | None:
    """How far a target strays from itself over so many pairs, nineteen times in twenty; None: nothing shows it.

    `histories`: of each target, the logarithm of what each of its lifetimes showed, in order of time. Neighbours among
    them are compared as pairs are.
    """
    apart: list[float] = []
    for own in histories:
        apart += [later - earlier for earlier, later in zip(own[::2], own[1::2], strict=False)]
    seen = estimate(apart, alpha=1.0 - FLOOR_LEVEL)
    if seen is None:
        return None
    return _t((1.0 - FLOOR_LEVEL) / 2.0, seen.freedom) * seen.error * math.sqrt(seen.n / pairs)


def pairs_for(found: Estimate, *, reach: float, alpha: float) -> int | None:
    """Pairs in all with which the interval would reach no further than `reach` to either side, if they go on varying
    as they do; None: more than can be asked for."""
    if reach <= 0.0:
        return None
    for n in range(found.n + 1, MOST_PAIRS + 1):
        if _t(alpha / 2.0, _freedom(n, _cut(n))) * found.error * math.sqrt(found.n / n) <= reach:
            return n
    return None


def _coins(heads: int, flips: int) -> float:
    """The chance of so many heads or more."""
    return float(special.bdtrc(heads - 1, flips, 0.5)) if heads else 1.0


def _cut(n: int) -> int:
    return n // 6 if n >= TRIMMED_FROM else 0


def _freedom(n: int, cut: int) -> int:
    return n - 2 * cut - (2 if cut else 1)


def _t(tail: float, freedom: int) -> float:
    return -float(special.stdtrit(freedom, tail))
