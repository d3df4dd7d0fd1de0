"""How late the client may send before its latencies stop being the target's.

Latency runs from the due time, so the client's own lateness is part of it. A percentile may be
reported as long as the same percentile of the send lag is at most 1 ms, or a tenth of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.percentiles import LEVELS, MIN_EXCEEDING
from proofload.clock import NS_PER_MS
from proofload.records import Distribution, Interval

FREE_MS = 1.0
SHARE = 0.1
DEEP = ("p99_9", "p99_99")
"""Percentiles that are withheld when the lag reaches them; a breach at p99 or below makes the run invalid."""


def permitted_ms(latency_ms: float) -> float:
    """The send lag allowed beside a latency, both at the same percentile."""
    return max(FREE_MS, SHARE * latency_ms)


def plain_percentiles(durations_ns: NDArray[np.int64]) -> dict[str, float]:
    """Nearest-rank percentiles in milliseconds as they are in the sample, supported or not.

    For judging the client, where a bad value counts even when it is a poor estimate. Empty for no samples.
    """
    n = len(durations_ns)
    if n == 0:
        return {}
    ordered = np.sort(durations_ns)
    return {level.name: int(ordered[level.rank(n) - 1]) / NS_PER_MS for level in LEVELS}


def breaches(lag_ms: Mapping[str, float], latency_ms: Mapping[str, float]) -> dict[str, float]:
    """Percentiles whose send lag is above what is permitted there, with what was permitted.

    Both mappings as from `plain_percentiles`; without latencies only FREE_MS is permitted.
    """
    found = {}
    for name, lag in lag_ms.items():
        permitted = permitted_ms(latency_ms.get(name, 0.0))
        if lag > permitted:
            found[name] = permitted
    return found


def withhold_lagging(
    latency: Distribution, latencies_ns: NDArray[np.int64], lags_ns: NDArray[np.int64]
) -> Distribution:
    """The distribution without those deep percentiles that the client's own lag has spoiled."""
    shown = [name for name in DEEP if latency.quantiles[name].value is not None]
    if not shown or len(lags_ns) < MIN_EXCEEDING:
        return latency
    spoiled = breaches(plain_percentiles(lags_ns), plain_percentiles(latencies_ns))
    quantiles = dict(latency.quantiles)
    for name in shown:
        if name in spoiled:
            quantiles[name] = replace(quantiles[name], value=None, interval=Interval(None, None), censored=False)
    return replace(latency, quantiles=MappingProxyType(quantiles))
