"""How many users an experiment needs, worked out from a pilot before it begins.

Two things are asked of it. Where there is no difference, it is to say so: the upper bound below the margin. Where
the harm is as large as `mde`, it is to find it: the lower bound above the margin. For a variance v of one user's mean
either takes (z(α) + z(β))² · 2v ÷ distance² users an arm (normal approximation), the distance being the margin, or
what `mde` is above it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True, slots=True)
class Spread:
    """A metric's spread over users: between them, and within one from request to request; what the past foretells."""

    mean: float
    between: float
    within: float
    foretold: float
    """The share of `between` that a user's own past explains, 0 to 1."""

    def of_a_mean(self, requests: float) -> float:
        """Variance of one user's mean over so many requests."""
        return self.between * (1.0 - self.foretold) + self.within / max(requests, 1.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """What was worked out beforehand for one metric. Users are those of one arm."""

    margin: float
    mde: float
    power: float
    users_needed: int
    users_expected: int
    smallest_found: float
    """The smallest harm that the expected users let it find with that power."""

    @property
    def enough(self) -> bool:
        return self.users_expected >= self.users_needed


def spread_of(values: NDArray[np.float64], user: NDArray[np.int64]) -> Spread:
    """The spread that a pilot shows. Values in time order; needs two users at least for anything but nothing."""
    if len(values) < 2:
        return Spread(float(values.mean()) if len(values) else 0.0, 0.0, 0.0, 0.0)
    counts = np.bincount(user)
    sums = np.bincount(user, weights=values)
    squares = np.bincount(user, weights=values**2)
    seen = counts > 0
    n, mean = counts[seen], sums[seen] / counts[seen]
    inside = np.maximum(squares[seen] - n * mean**2, 0.0)
    freedom = int(np.sum(n - 1))
    within = float(inside.sum()) / freedom if freedom else float(np.var(values, ddof=1))
    total = float(np.var(mean, ddof=1)) if len(mean) > 1 else 0.0
    between = max(0.0, total - within * float(np.mean(1.0 / n)))
    return Spread(float(mean.mean()), between, within, _foretold(total, between))


def _foretold(total: float, between: float) -> float:
    """A user's mean in the pilot foretells his level as far as it is not chance: the reliability of that mean."""
    return 0.0 if total <= 0.0 else min(0.99, between / total)


def plan(
    spread: Spread,
    *,
    margin: float,
    mde: float,
    users: int,
    requests: float,
    alpha_fail: float,
    alpha_pass: float,
    power: float,
) -> Plan:
    """`users` on one arm, each with so many requests, are expected. `mde` must be above `margin`."""
    variance = spread.of_a_mean(requests)
    missed = float(stats.norm.isf(1.0 - power))
    to_pass = float(stats.norm.isf(alpha_pass)) + missed
    to_fail = float(stats.norm.isf(alpha_fail)) + missed
    needed = max(to_pass**2 * 2.0 * variance / margin**2, to_fail**2 * 2.0 * variance / (mde - margin) ** 2)
    smallest = margin + to_fail * math.sqrt(2.0 * variance / max(users, 1))
    return Plan(margin, mde, power, max(2, math.ceil(needed)), users, smallest)
