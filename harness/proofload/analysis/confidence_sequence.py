"""Intervals that may be looked at all the time: the chance that any of them ever misses the truth is bounded.

The mixture of Gaussian likelihood ratios (Robbins, Annals of Mathematical Statistics 41, 1970), as experiments use it
with an estimate and its variance at each look (mSPRT: Johari, Koomen, Pekelis and Walsh, KDD 2017):

    |estimate − truth| ≤ sqrt( V (V + τ²) ÷ τ² · ln((V + τ²) ÷ (V α²)) )

V is the estimate's variance at this look. τ, the size of effect that it is quickest about, is chosen before the first
look. V is itself estimated, from few stretches of time at first: its error is paid for by Student's t in place of the
normal quantile, at the size of tail that the boundary stands for.
"""

from __future__ import annotations

import math

from scipy import special

from proofload.analysis.arm_difference import Difference

FEWEST_STRETCHES = 10
"""Before that many, nothing is said: an estimate of the variance from fewer is worth too little."""


def radius(difference: Difference, tau: float, alpha: float) -> float:
    """Half the length of the two-sided interval of error rate `alpha`; infinite where nothing can be said yet."""
    variance = difference.variance
    if not math.isfinite(variance) or difference.freedom + 1 < FEWEST_STRETCHES or variance <= 0.0 or tau <= 0.0:
        return 0.0 if variance == 0.0 and difference.freedom + 1 >= FEWEST_STRETCHES else math.inf
    whole = variance + tau * tau
    in_sds = math.sqrt(whole / (tau * tau) * (math.log(whole / variance) - 2.0 * math.log(alpha)))
    tail = max(float(special.ndtr(-in_sds)), 1e-300)
    return -float(special.stdtrit(difference.freedom, tail)) * math.sqrt(variance)


def bounds(difference: Difference, tau: float, below: float, above: float) -> tuple[float, float]:
    """One-sided bounds for all looks together: chance `below` that the truth is ever below the first, `above` that it
    is ever above the second. Each is an end of the two-sided interval of twice that rate."""
    return (
        difference.effect - radius(difference, tau, min(0.999, 2.0 * below)),
        difference.effect + radius(difference, tau, min(0.999, 2.0 * above)),
    )
