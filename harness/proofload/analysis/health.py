"""The client as a suspect: what the engine processes say of themselves, in one record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from proofload.analysis.percentiles import distribution
from proofload.analysis.summary import due_since, send_lags
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import ClientHealth, Samples

STALL_MS = 50.0
"""A send lag of this much means that the loop stood still."""


def client_health(
    samples: Samples, worker_stats: Sequence[Mapping[str, Any]], *, cut_ns: int = 0, confidence: float = 0.99
) -> ClientHealth:
    """Health over the stretch that `samples` cover from `cut_ns` on; the workers' readings outside it are left out.

    A reading is one worker's second: t_ns, worker, cpu_share, runqueue_share, loop_stalls, gc_pause_ms
    and what else it knows. Shares are averaged per worker over the stretch, then the largest is
    taken; stalls are summed; the collector's pause is the longest in any one reading. A share or
    pause that no reading holds is None, not 0. Stalls are also seen from the samples: see `lag_episodes`.
    """
    samples = due_since(samples, cut_ns)
    inside = readings_within(samples, worker_stats)
    return ClientHealth(
        send_lag=distribution(send_lags(samples), confidence=confidence),
        cpu_share=worst_mean(inside, "cpu_share"),
        cores=len({reading.get("worker", 0) for reading in worker_stats}) or 1,
        runqueue_share=worst_mean(inside, "runqueue_share"),
        loop_stalls=max(int(sum(_values(inside, "loop_stalls"))), lag_episodes(samples)),
        gc_pause_ms=max(_values(inside, "gc_pause_ms"), default=None),
    )


def readings_within(samples: Samples, worker_stats: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Readings whose second lies within the due times of the samples (a reading is stamped at its end)."""
    if not len(samples):
        return []
    first, last = int(samples.table["intended_ns"][0]), int(samples.table["intended_ns"][-1])
    return [reading for reading in worker_stats if first <= reading["t_ns"] <= last + NS_PER_S]


def worst_mean(readings: Iterable[Mapping[str, Any]], name: str) -> float | None:
    """The largest of the workers' means of one reading; None when no worker has it."""
    by_worker: dict[Any, list[float]] = defaultdict(list)
    for reading in readings:
        value = reading.get(name)
        if value is not None:
            by_worker[reading.get("worker", 0)].append(float(value))
    return max((sum(values) / len(values) for values in by_worker.values()), default=None)


def lag_episodes(samples: Samples) -> int:
    """How often, per worker, requests were dispatched STALL_MS or more late: episodes, not requests.

    Late requests less than STALL_MS apart (by dispatch) belong to one episode: a stalled loop
    dispatches all it owes at once when it wakes.
    """
    table = samples.table
    late = np.flatnonzero((table["dispatched_ns"] > 0) & (samples.send_lag_ns >= STALL_MS * NS_PER_MS))
    if not len(late):
        return 0
    workers, dispatched = table["worker"][late], table["dispatched_ns"][late]
    episodes = 0
    for worker in np.unique(workers):
        instants = np.sort(dispatched[workers == worker])
        episodes += 1 + int(np.count_nonzero(np.diff(instants) >= STALL_MS * NS_PER_MS))
    return episodes


def _values(readings: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    return [float(reading[name]) for reading in readings if reading.get(name) is not None]
