"""What the container probe saw of a target, over stretches of a run. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.records import Event
from proofload.runtimes._diagnosis import AT_ITS_MEMORY_LIMIT
from proofload.store.record import Series

SOURCE = "container"
FEWEST = 4
"""Readings from which a mean is one."""

Readings = Mapping[tuple[int, str, str], Series]


def throttled_share(readings: Readings, spans: Sequence[tuple[int, int]], arm: int = 0) -> float | None:
    """The mean share of scheduler periods, within these stretches (ns), in which its CPU limit stopped it; None where
    too little was read of that: it has no limit, is in no container, or hardly ran."""
    t_ns, values = _read(readings, "throttled_share", arm)
    inside = np.zeros(len(t_ns), dtype=np.bool_)
    for begin, end in spans:
        inside |= (t_ns >= begin) & (t_ns < end)
    return float(values[inside].mean()) if int(inside.sum()) >= FEWEST else None


def cpu_limit_cores(readings: Readings, arm: int = 0) -> float | None:
    return last(readings, "cpu_limit_cores", arm)


def last(readings: Readings, name: str, arm: int = 0) -> float | None:
    _, values = _read(readings, name, arm)
    return float(values[-1]) if len(values) else None


def asked_memory_bytes(run: Mapping[str, Any], arm: int = 0) -> float | None:
    """The memory limit that an arm's target file asks for."""
    target = (run.get("canary") if arm else None) or run["target"]
    asked = (target.get("limits") or {}).get("memory_mib")
    return None if asked is None else asked * 2.0**20


def counted(readings: Readings, name: str, arm: int = 0) -> int | None:
    """By how much a counter rose after its first reading; None where it was never read."""
    _, values = _read(readings, name, arm)
    return round(float(values.max() - values[0])) if len(values) else None


def kills(readings: Readings, arm: int = 0) -> int | None:
    """Processes that were killed at its memory limit since its container started, at least; None where nothing told."""
    _, values = _read(readings, "oom_kills", arm)
    return round(float(values.max())) if len(values) else None


def arms(readings: Readings) -> list[int]:
    """Those whose containers were read."""
    return sorted({arm for arm, source, _ in readings if source == SOURCE})


def killed_at_its_limit(event: Event) -> bool:
    """Whether an event tells of a target that its memory limit ended."""
    return event.kind == "target-died" and AT_ITS_MEMORY_LIMIT in str(event.detail.get("cause", ""))


def memory_kill_ns(events: Iterable[Event], readings: Readings) -> int | None:
    """When the target, or a process of it, was first killed at its memory limit: between two readings, or by the first
    there is."""
    instants = [event.t_ns for event in events if killed_at_its_limit(event)]
    t_ns, values = _read(readings, "oom_kills", 0)
    if (values > 0).any():
        at = int(np.flatnonzero(values > 0)[0])
        instants.append((int(t_ns[max(0, at - 1)]) + int(t_ns[at])) // 2)
    return min(instants, default=None)


def _read(readings: Readings, name: str, arm: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Instants and values, as far as they are numbers."""
    series = readings.get((arm, SOURCE, name))
    if series is None:
        return np.zeros(0, np.int64), np.zeros(0)
    known = np.isfinite(series.values)
    return series.t_ns[known], series.values[known]
