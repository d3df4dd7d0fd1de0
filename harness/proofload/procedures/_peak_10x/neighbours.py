"""How much of the target's cores others used meanwhile: what slows a target may be its neighbours.

What all used of those cores, less what the target, the lab and (where they share cores) the engine used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from proofload.clock import NS_PER_S
from proofload.procedures import Circumstances, Evidence
from proofload.procedures._peak_10x.looks import KEPT, kept
from proofload.procedures._peak_10x.reading import Reading
from proofload.records import Check, Status

DISTURBED = 0.2
"""Share of the target's cores that others may use on average."""
COLLAPSED = 0.25
"""Neighbours that are there before the peak as well do not take away more than three quarters of the goodput at it."""
_BY_TIME = ("goodput_at_peak", "recovery", "responsiveness", "refusal_p95", "ok_share")
"""Checks that a slow machine can fail; so can those of a percentile."""
_FEWEST = 4


def others_share(evidence: Evidence, reading: Reading, around: Circumstances) -> float | None:
    """From the first step to the last; None where it cannot be known (no process of the target is)."""
    path = evidence.path / KEPT
    series = reading.process.get("cpu_share")
    cores = list(evidence.run["placement"].get("target_cores") or ())
    if not path.exists() or series is None or not cores or not reading.steps:
        return None
    seen: Mapping[str, Any] = kept(path.read_bytes()).get("cores") or {}
    at_ns = np.asarray(seen.get("t_ns", ()), dtype=np.int64)
    begin, end = reading.steps[0].phase.start_ns, reading.steps[-1].end_ns
    chosen = np.flatnonzero((at_ns >= begin) & (at_ns <= end))
    own = series.values[(series.t_ns >= begin) & (series.t_ns <= end)]
    if len(chosen) < _FEWEST or len(own) < _FEWEST:
        return None
    first, last = int(chosen[0]), int(chosen[-1])
    busy = np.asarray(seen["busy_s"][last]) - np.asarray(seen["busy_s"][first])
    if max(cores) >= len(busy):
        return None
    seconds = (int(at_ns[last]) - int(at_ns[first])) / NS_PER_S
    lab = float(seen["lab_s"][last] - seen["lab_s"][first]) / seconds
    shared = set(cores) & set(evidence.run["placement"].get("engine_cores") or ())
    engine = _engine_cores(around, begin, end) if shared else 0.0
    others = float(busy[cores].sum()) / seconds - float(own.mean()) - lab - engine
    return float(max(0.0, others) / len(cores))


def _engine_cores(around: Circumstances, begin: int, end: int) -> float:
    seen = [
        float(stat["cpu_share"])
        for stat in around.worker_stats
        if begin <= stat["t_ns"] <= end and stat.get("cpu_share")
    ]
    workers = {stat.get("worker", 0) for stat in around.worker_stats}
    return float(np.mean(seen)) * len(workers) if seen else 0.0


def excused(check: Check, others: float | None) -> Check:
    """A failure that the neighbours may have caused is none of the target's; a pass in spite of them is one."""
    by_time = check.name in _BY_TIME or check.name.startswith("p")
    if others is None or others <= DISTURBED or check.status is not Status.FAIL or not by_time:
        return check
    if check.name == "goodput_at_peak" and check.interval.high is not None and check.interval.high < COLLAPSED:
        return check
    told = f"{check.evidence}; but other processes used {others:.0%} of its cores meanwhile"
    settle = "a machine where nothing else runs on the target's cores"
    return replace(check, status=Status.INCONCLUSIVE, evidence=told, settle=settle, cause="")
