"""How two arms differ in one metric, with the user as the unit.

Each user counts once, with the mean of what he was given; the difference is that of the arms' means over users.
Its variance has two sources that samples of one run share: a user comes again and again, and what happens at one time
(a stall, a neighbour) happens to many users of one arm at once. So it is clustered both ways, by user and by stretch
of time: the sum of both cluster variances less that of single requests (Cameron, Gelbach and Miller, Journal of
Business and Economic Statistics 29, 2011), and never less than the larger of the two.

What a user showed before the experiment explains part of what he shows in it: that part is taken out (CUPED: Deng,
Xu, Kohavi and Walker, WSDM 2013).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

FEWEST_USERS = 20
"""On either arm, for any interval."""
FEWEST_STRETCHES = 8
_DENSITY = 0.2
"""The quantiles this far apart around the median give the density there."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shown:
    """One metric, request by request: its value, the request's arm (0 or 1), user (from 0) and stretch of time."""

    values: Floats
    arm: Ints
    user: Ints
    stretch: Ints


@dataclass(frozen=True, slots=True)
class Difference:
    """Canary less baseline. `variance` is infinite, and `effect` nothing, where too little was seen."""

    effect: float
    variance: float
    freedom: int
    users: tuple[int, int]
    baseline: float

    def bounds(self, below: float, above: float) -> tuple[float, float]:
        """One-sided bounds: chance `below` that the truth lies below the first, `above` that above the second."""
        spread = self.variance**0.5
        if not np.isfinite(spread):
            return -np.inf, np.inf
        return (
            self.effect - _t(below, self.freedom) * spread,
            self.effect + _t(above, self.freedom) * spread,
        )


NOTHING = Difference(0.0, np.inf, 1, (0, 0), np.nan)


def difference(shown: Shown) -> Difference:
    """The difference of the arms' means over users. A user who was on both arms counts on each."""
    values, arm, stretch = shown.values, shown.arm, shown.stretch
    if not len(values):
        return NOTHING
    cell = shown.user * 2 + arm
    requests = np.bincount(cell)
    sums = np.bincount(cell, weights=values)
    seen = requests > 0
    means = sums[seen] / requests[seen]
    side = np.flatnonzero(seen) & 1
    count = np.bincount(side, minlength=2)
    stretches = len(np.unique(stretch))
    if count.min() < 2 or stretches < 2:
        return NOTHING
    level = np.bincount(side, weights=means, minlength=2) / count
    sign = np.array([-1.0, 1.0])
    residual = (sign / count)[arm] * (values - level[arm]) / requests[cell]
    by_user = np.bincount(cell, weights=residual)
    by_time = np.bincount(stretch, weights=residual)
    # The very difference that is estimated makes every arm's residuals sum to nothing: one degree less for each.
    users = float(np.sum((count / (count - 1.0))[np.arange(len(by_user)) & 1] * by_user**2))
    times = float(np.sum(by_time**2)) * stretches / (stretches - 1.0)
    single = float(np.sum(residual**2))
    variance = max(users + times - single, users, times)
    enough = count.min() >= FEWEST_USERS and stretches >= FEWEST_STRETCHES
    return Difference(
        effect=float(level[1] - level[0]),
        variance=variance if enough else np.inf,
        freedom=stretches - 1,
        users=(int(count[0]), int(count[1])),
        baseline=float(level[0]),
    )


def as_shares(found: Difference, margin: float = 0.0) -> Difference:
    """The difference of two shares, its variance never below that of one more success and one more failure on each
    side (Agresti and Caffo, The American Statistician 54, 2000): a side where nothing failed has not shown that
    nothing ever does. With a `margin`, never below that of a second side which is worse by as much, either: whoever
    would exclude that must reckon with what it would look like (a score test)."""
    if not np.isfinite(found.variance):
        return found
    least, spread = 0.0, (0.0, margin * (1.0 - margin))
    shares = (found.baseline, found.baseline + found.effect)
    for users, share, at_margin in zip(found.users, shares, spread, strict=True):
        wary = (share * users + 1.0) / (users + 2.0)
        least += max(wary * (1.0 - wary), at_margin) / (users + 2.0)
    return replace(found, variance=max(found.variance, least))


def without_what_was_known(shown: Shown, before: Floats) -> Shown:
    """The values less what the users' means `before` the experiment foretell of them.

    Users who were not seen then (nan, or beyond the end of `before`) are foretold the mean.
    """
    if not len(shown.values) or not np.isfinite(before).any():
        return shown
    usual = float(np.nanmean(before))
    everybody = np.append(np.where(np.isfinite(before), before, usual), usual)
    known = everybody[np.minimum(shown.user, len(before))]
    known = known - known.mean()
    within = shown.values - _levels(shown)[shown.arm]
    spread = float(np.dot(known, known))
    if spread <= 0.0:
        return shown
    slope = float(np.dot(known, within)) / spread
    return Shown(shown.values - slope * known, shown.arm, shown.user, shown.stretch)


def as_medians(shown: Shown) -> Shown:
    """Values whose mean on each arm is that arm's median, so that medians can be compared as means are.

    median + (share above − ½) ÷ density, the median's influence function.
    """
    values = np.empty_like(shown.values)
    for arm in (0, 1):
        mine = shown.arm == arm
        own = shown.values[mine]
        if not len(own):
            continue
        low, middle, high = np.quantile(own, [0.5 - _DENSITY / 2, 0.5, 0.5 + _DENSITY / 2])
        width = max(float(high - low), 1e-12)
        values[mine] = middle + ((own > middle) - 0.5) * width / _DENSITY
    return Shown(values, shown.arm, shown.user, shown.stretch)


def stretches(at_ns: Ints, start_ns: int, length_ns: int) -> Ints:
    """The number of the stretch of time of each instant."""
    return np.maximum((at_ns - start_ns) // length_ns, 0).astype(np.int64)


def user_means(values: Floats, user: Ints, users: int) -> Floats:
    """Mean by user; nan where a user was not seen."""
    counts = np.bincount(user, minlength=users)
    sums = np.bincount(user, weights=values, minlength=users)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _levels(shown: Shown) -> Floats:
    counts = np.maximum(np.bincount(shown.arm, minlength=2), 1)
    return np.bincount(shown.arm, weights=shown.values, minlength=2) / counts


def _t(tail: float, freedom: int) -> float:
    return -float(special.stdtrit(freedom, tail))
