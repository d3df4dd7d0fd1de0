"""The whole latency distribution as a curve of a few hundred points, as deep as the sample supports."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.summary import latencies
from proofload.clock import NS_PER_MS
from proofload.records import Distribution, Quantile, Samples

DEEPEST = 1e-4  # 1 − q of p99.99
_POINTS = 160
_NAMED = (0.5, 0.1, 0.05, 0.01, 0.001, 0.0001)  # 1 − q of the percentiles in tables: the curve passes through them
_SUPPORT = 20  # samples beyond a percentile that it takes to support it, when they are independent


@dataclass(frozen=True, slots=True)
class Tail:
    """Latency (ms) against the share of requests that took longer, from 1 down to `beyond[-1]`.

    `low` and `high` bound the curve: the named percentiles' intervals, interpolated between them (NaN where
    unknown). From index `censored_from` on the values are only lower bounds: they fall into the timeouts.
    """

    phase: str
    n: int
    beyond: NDArray[np.float64]
    ms: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    censored_from: int | None
    arm: int = 0


def tail(
    name: str, samples: Samples, summary: Distribution | None, *, arm: int = 0, timeout_s: float | None = None
) -> Tail | None:
    """None when no request has a latency. `summary` gives the intervals and how deep the sample carries."""
    latency, gave_up = latencies(samples, timeout_s=timeout_s)
    n = len(latency)
    if not n:
        return None
    timed_out = latency[gave_up]
    latency.sort()
    deepest = depth(n, summary)
    beyond = np.unique([*np.geomspace(1.0, deepest, _POINTS), *(at for at in _NAMED if at >= deepest)])[::-1]
    ranks = np.clip(np.ceil((1.0 - beyond) * n - 1e-6).astype(np.int64) - 1, 0, n - 1)  # 0.99 · 100 is 99, not 100
    values = latency[ranks] / NS_PER_MS
    low, high = _band(beyond, values, summary)
    censored = np.flatnonzero(values >= timed_out.min() / NS_PER_MS) if len(timed_out) else np.array([], np.int64)
    return Tail(name, n, beyond, values, low, high, int(censored[0]) if len(censored) else None, arm)


def depth(n: int, summary: Distribution | None) -> float:
    """The smallest 1 − q the sample supports. A percentile that is refused says how many samples it needs; that
    number times 1 − q is the same for every percentile, so it tells how far this sample goes."""
    deepest = 1.0
    for quantile in _quantiles(summary):
        if quantile.value is not None:
            deepest = min(deepest, 1.0 - quantile.q)
        elif quantile.needs:
            deepest = min(deepest, quantile.needs * (1.0 - quantile.q) / n)
    if deepest >= 1.0:
        deepest = _SUPPORT / n
    return float(min(max(deepest, DEEPEST), 0.5))


def _band(
    beyond: NDArray[np.float64], values: NDArray[np.float64], summary: Distribution | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The intervals' ratios to their percentiles, interpolated over log(1 − q), times the curve."""
    known = [
        (1.0 - found.q, found.interval.low / found.value, found.interval.high / found.value)
        for found in _quantiles(summary)
        if found.value and found.interval.low is not None and found.interval.high is not None
    ]
    nothing = np.full(len(beyond), np.nan)
    if not known:
        return nothing, nothing
    at, low, high = (np.array(column) for column in zip(*sorted(known), strict=True))
    inside = (beyond >= at[0] * (1 - 1e-9)) & (beyond <= at[-1] * (1 + 1e-9))
    where = np.log(beyond)
    return (
        np.where(inside, values * np.interp(where, np.log(at), low), np.nan),
        np.where(inside, values * np.interp(where, np.log(at), high), np.nan),
    )


def _quantiles(summary: Distribution | None) -> tuple[Quantile, ...]:
    return tuple(summary.quantiles.values()) if summary else ()
