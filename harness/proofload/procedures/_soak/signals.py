"""The resources of a target over a run, as series to be judged: what the lab itself holds open is taken out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.trend import Column, calmed
from proofload.clock import NS_PER_S
from proofload.procedures import Evidence
from proofload.records import Event
from proofload.store.record import Series

MIB = 2.0**20
MANY_RESTARTS = 2
"""Workers that are replaced more often than this are recycled as a rule: that is part of how it runs."""
_UNSETTLED_S = 3.0
"""A process that has just joined loads its model: readings this long after it say nothing of growth."""
MEMORY = (
    ("container", "anon_bytes"), ("process", "uss_bytes"), ("container", "memory_bytes"), ("process", "rss_bytes"),
)  # fmt: skip
"""What stands for memory, the most telling first. A page cache that fills is no leak: what leaves it out comes before
a container's working set, in which part of it still is."""
_TOLD = {
    "anon_bytes": "of its whole container, without the page cache",
    "memory_bytes": "working set of its container: what it reads and writes of files is in it",
    "rss_bytes": "resident memory: private memory may not be read here",
}
MANY_BIRTHS = 8
PILED = 0.5
"""Where so many join close together and more than this share of them stays beside those that were there, they are no
restart."""
_LEVEL = 3
_FLAT = 2.0


@dataclass(frozen=True, slots=True)
class Signal:
    """One resource. Instants in seconds since the first phase began."""

    name: str
    """memory, fds, threads, sockets, disk or gpu-memory."""
    unit: str
    """bytes, or empty for a count."""
    t_s: Column
    values: Column
    own: str = ""
    """What was done to the readings: "the lab's own connections subtracted"."""
    restarts: int = 0
    """How often processes joined while it was read; series are spliced at a few of them."""
    read_s: Column = field(default_factory=lambda: np.zeros(0))
    """All instants at which it was read, those left out at a splice among them."""

    def between(self, begin_s: float, end_s: float) -> Signal:
        inside = (self.t_s >= begin_s) & (self.t_s <= end_s)
        return replace(self, t_s=self.t_s[inside], values=self.values[inside])


Readings = Mapping[tuple[int, str, str], Series]


def signals(evidence: Evidence, readings: Readings, start_ns: int) -> dict[str, Signal]:
    """Every resource that was read. Only of the target itself (arm 0)."""
    births = _births(readings, start_ns)
    own = _inbound(readings, start_ns) or _own_connections(evidence.events, start_ns)
    found: dict[str, Signal] = {}
    memory = _first(readings, MEMORY)
    if memory is not None:
        name, series = memory
        found["memory"] = _signal("memory", "bytes", series, start_ns, _TOLD.get(name, ""))
    for name, key in (("fds", "fds"), ("sockets", "sockets"), ("threads", "threads"), ("threads", "pids")):
        known = readings.get((0, "container" if key == "pids" else "process", key))
        if known is not None and name not in found:
            signal = _signal(name, "", known, start_ns)
            found[name] = signal if name == "threads" else _without(signal, own)
    for name, source, key in (("disk", "process", "files_bytes"), ("gpu-memory", "gpu", "memory_bytes")):
        known = readings.get((0, source, key))
        if known is not None:
            found[name] = _signal(name, "bytes", known, start_ns)
    return {name: spliced(signal, births) for name, signal in found.items()}


def latest(readings: Readings, source: str, name: str) -> float | None:
    values = _known(readings, source, name)
    return float(values[-1]) if len(values) else None


def highest(readings: Readings, source: str, name: str) -> float | None:
    values = _known(readings, source, name)
    return float(values.max()) if len(values) else None


def _known(readings: Readings, source: str, name: str) -> Column:
    """As far as they are numbers."""
    series = readings.get((0, source, name))
    return np.zeros(0) if series is None else series.values[np.isfinite(series.values)]


def _first(readings: Readings, names: Sequence[tuple[str, str]]) -> tuple[str, Series] | None:
    for source, name in names:
        series = readings.get((0, source, name))
        if series is not None and len(series.t_ns):
            return name, series
    return None


def _signal(name: str, unit: str, series: Series, start_ns: int, told: str = "") -> Signal:
    finite = np.isfinite(series.values)
    t_s = (series.t_ns[finite] - start_ns) / NS_PER_S
    return Signal(name, unit, t_s, series.values[finite], told, read_s=t_s)


def _births(readings: Readings, start_ns: int) -> Column:
    """Instants at which processes joined the tree to take the place of others; those that pile up do not count."""
    series = readings.get((0, "process", "births"))
    if series is None or len(series.values) < 2:
        return np.zeros(0)
    came = np.diff(series.values)
    joined = np.flatnonzero(came > 0) + 1
    births = (series.t_ns[joined] - start_ns) / NS_PER_S
    piled = np.zeros(len(births), np.bool_)
    for first, last in _groups(births):
        own = (births >= first) & (births <= last)
        many = float(came[joined - 1][own].sum())
        stayed = added(readings, start_ns, first - _FLAT, last + _UNSETTLED_S)
        if many >= MANY_BIRTHS and stayed >= PILED * many:
            piled |= own
    return births[~piled]


def added(readings: Readings, start_ns: int, begin_s: float, end_s: float) -> float:
    """By how many processes the tree grew between these instants; 0 where that was not read."""
    inside = between(readings, "processes", start_ns, begin_s, end_s)
    return float(inside[-1] - inside[0]) if len(inside) else 0.0


def between(readings: Readings, name: str, start_ns: int, begin_s: float, end_s: float) -> Column:
    """What the probe of its processes read from one instant to another, as far as it is numbers."""
    series = readings.get((0, "process", name))
    if series is None:
        return np.zeros(0)
    t_s = (series.t_ns - start_ns) / NS_PER_S
    return series.values[(t_s >= begin_s) & (t_s <= end_s) & np.isfinite(series.values)]


def _inbound(readings: Readings, start_ns: int) -> tuple[Column, Column] | None:
    """Connections to the target that clients hold, where the probe tells them apart: the lab is its client."""
    series = readings.get((0, "process", "inbound"))
    return None if series is None else ((series.t_ns - start_ns) / NS_PER_S, series.values)


def _own_connections(events: Sequence[Event], start_ns: int) -> tuple[Column, Column] | None:
    """The engine's own open descriptors over time, above their least: the connections it holds to the target."""
    seen: dict[Any, list[tuple[int, float]]] = {}
    for event in events:
        if event.kind == "health" and event.detail.get("fds") is not None:
            seen.setdefault(event.detail.get("worker", 0), []).append((event.t_ns, float(event.detail["fds"])))
    if not seen:
        return None
    grid = np.unique(np.array([t for each in seen.values() for t, _ in each], np.int64))
    total = np.zeros(len(grid))
    for each in seen.values():
        t, fds = np.array([t for t, _ in each]), np.array([value for _, value in each])
        total += np.interp(grid, t, fds - fds.min())
    return (grid - start_ns) / NS_PER_S, total


def _without(signal: Signal, own: tuple[Column, Column] | None) -> Signal:
    if own is None or not np.ptp(own[1]):
        return signal
    # What the lab says of its connections comes once a second, so bursts are subtracted a little too late.
    values = calmed(signal.values - np.interp(signal.t_s, *own))
    return replace(signal, values=values, own="the lab's own connections subtracted")


def spliced(signal: Signal, births: Column) -> Signal:
    """The series without the level shifts of a few restarted workers, which would hide growth or look like it.

    Many restarts are left in: whoever recycles workers bounds what they leak.
    """
    inside = births[(births > signal.t_s[0]) & (births < signal.t_s[-1])] if len(signal.t_s) else births[:0]
    groups = _groups(inside)
    signal = replace(signal, restarts=len(groups))
    if not groups or len(groups) > MANY_RESTARTS:
        return signal
    t, y = signal.t_s, signal.values.copy()
    kept = np.ones(len(t), np.bool_)
    for first, last in groups:
        before = np.flatnonzero(t < first - _FLAT)
        after = np.flatnonzero(t > last + _UNSETTLED_S)
        if len(before) < _LEVEL or len(after) < _LEVEL:
            continue
        shift = float(np.median(y[after[:_LEVEL]]) - np.median(y[before[-_LEVEL:]]))
        y[after] -= shift
        kept &= (t < first - _FLAT) | (t > last + _UNSETTLED_S)
    return replace(signal, t_s=t[kept], values=y[kept])


def _groups(births: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Births close together are one restart: (first, last) of each."""
    groups: list[tuple[float, float]] = []
    for instant in births.tolist():
        if groups and instant - groups[-1][1] <= _UNSETTLED_S:
            groups[-1] = groups[-1][0], instant
        else:
            groups.append((instant, instant))
    return groups
