"""Probe readings: counters become means over stretches of time, gauges become a few hundred points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from proofload.clock import NS_PER_S

MAX_POINTS = 160


class Readings(Protocol):
    """Instants (ns) and values of one reading, as the store keeps them."""

    @property
    def t_ns(self) -> NDArray[np.int64]: ...

    @property
    def values(self) -> NDArray[np.float64]: ...


@dataclass(frozen=True, slots=True)
class Gauge:
    """One gauge over time: the mean of each bin, and what stands out."""

    source: str
    name: str
    arm: int
    t_s: NDArray[np.float64]
    mean: NDArray[np.float64]
    first: float
    last: float
    average: float
    peak: float


@dataclass(frozen=True, slots=True)
class Increments:
    """What a counter grew by between two readings, at the instant of the later one."""

    t_ns: NDArray[np.int64]
    by: NDArray[np.float64]

    def within(self, start_ns: int, end_ns: int) -> float:
        inside = (self.t_ns > start_ns) & (self.t_ns <= end_ns)
        return float(self.by[inside].sum())


def gauge(source: str, name: str, arm: int, series: Readings, start_ns: int) -> Gauge | None:
    """None when nothing finite was read."""
    finite = np.isfinite(series.values)
    t_s = (series.t_ns[finite] - start_ns) / NS_PER_S
    values = series.values[finite]
    if not len(values):
        return None
    groups = [part for part in np.array_split(np.arange(len(values)), min(MAX_POINTS, len(values))) if len(part)]
    return Gauge(
        source=source,
        name=name,
        arm=arm,
        t_s=np.array([t_s[part].mean() for part in groups]),
        mean=np.array([values[part].mean() for part in groups]),
        first=float(values[0]),
        last=float(values[-1]),
        average=float(values.mean()),
        peak=float(values.max()),
    )


def increments(readings: Mapping[tuple[int, str, str], Readings], arm: int, name: str) -> Increments | None:
    """Growth of the Prometheus counter `name`, summed over its label sets; None when it was never read twice.

    A counter that falls has restarted from zero (Prometheus' own rule). A label set that appears later
    than the first reading of any started from zero, too.
    """
    found = [
        series
        for (owner, source, key), series in readings.items()
        if owner == arm and source == "prometheus" and key.partition("{")[0] == name and len(series.t_ns)
    ]
    if not found:
        return None
    begin = min(int(series.t_ns[0]) for series in found)
    times, grown = [], []
    for series in found:
        by = np.diff(series.values, prepend=0.0 if series.t_ns[0] > begin else series.values[0])
        times.append(series.t_ns)
        grown.append(np.where(by < 0, series.values, by))
    t_ns = np.concatenate(times)
    order = np.argsort(t_ns, kind="stable")
    return Increments(t_ns[order], np.concatenate(grown)[order]) if len(t_ns) > len(found) else None
