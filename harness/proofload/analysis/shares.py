"""Exact bounds of a share that was counted (Clopper and Pearson, Biometrika 26, 1934).

One-sided: each bound alone is wrong at most at `alpha`. Two-sided: both together cover with `confidence`. Counts may be
fractional (effective ones). Where nothing was seen the share may be anything from 0 to 1.
"""

from __future__ import annotations

from scipy import special


def lower_bound(count: float, n: float, alpha: float) -> float:
    """One-sided."""
    return 0.0 if count <= 0 else float(special.betaincinv(count, n - count + 1.0, alpha))


def upper_bound(count: float, n: float, alpha: float) -> float:
    """One-sided."""
    return 1.0 if count >= n else float(special.betaincinv(count + 1.0, n - count, 1.0 - alpha))


def one_sided_bounds(count: float, n: float, alpha: float) -> tuple[float, float]:
    """Both one-sided bounds."""
    return lower_bound(count, n, alpha), upper_bound(count, n, alpha)


def two_sided_bounds(count: float, n: float, confidence: float) -> tuple[float, float]:
    """An interval that covers."""
    return one_sided_bounds(count, n, (1.0 - confidence) / 2.0)
