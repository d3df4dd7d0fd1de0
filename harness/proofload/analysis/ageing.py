"""Latency over the age of a run, small enough to keep for any length: a histogram for each of a few dozen cells.

It counts from the dispatch of a request. Bins are spaced by one percent, from 10 µs to over an hour, so a
percentile is right to a percent; that is for growth. Percentiles that are judged against an SLO come from all
samples (see summary.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.summary import TIMED, latencies, with_outcome
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import Outcome, Samples

Column = NDArray[np.float64]
_LOW_NS = 1e4
_RATIO = 1.01
BINS = 2000


@dataclass(frozen=True, slots=True)
class Cell:
    """The requests due in one stretch of time."""

    start_ns: int
    end_ns: int
    counts: NDArray[np.int64]
    """Timed requests by bin of latency."""
    due: int
    bad: int
    """Requests that did not end ok, those never sent left out."""

    @property
    def timed(self) -> int:
        return int(self.counts.sum())


def cells_of(samples: Samples, start_ns: int, end_ns: int, count: int, *, timeout_s: float) -> list[Cell]:
    """Cells of equal length over one phase's samples (in due order)."""
    edges = np.linspace(start_ns, end_ns, count + 1).astype(np.int64)
    intended = np.ascontiguousarray(samples.table["intended_ns"])
    cuts = np.searchsorted(intended, edges)
    cuts[-1] = len(intended)
    found = []
    for index in range(count):
        part = Samples(samples.table[cuts[index] : cuts[index + 1]])
        latency = _since_dispatch(part, timeout_s)
        due = int(np.count_nonzero(part.outcome != Outcome.UNSENT))
        bad = due - int(np.count_nonzero(with_outcome(part, Outcome.OK)))
        counts = np.bincount(bins_of(latency.astype(np.float64)), minlength=BINS)
        found.append(Cell(int(edges[index]), int(edges[index + 1]), counts, due, bad))
    return found


def bins_of(latency_ns: Column) -> NDArray[np.int64]:
    """The bin of each latency."""
    bins = np.log(np.maximum(latency_ns, _LOW_NS) / _LOW_NS) / np.log(_RATIO)
    return np.asarray(np.minimum(bins.astype(np.int64), BINS - 1))


def _since_dispatch(samples: Samples, timeout_s: float) -> NDArray[np.int64]:
    """Latency less the client's own lag, which a neighbour on its core may age instead of the target."""
    latency, gave_up = latencies(samples, timeout_s=timeout_s)
    timed = with_outcome(samples, *TIMED)
    lag = np.where(samples.table["dispatched_ns"] > 0, samples.send_lag_ns, 0)[timed]
    return np.asarray(np.where(gave_up, latency, latency - lag), np.int64)


def merged(cells: list[Cell], count: int) -> list[Cell]:
    """Neighbours put together, so that about `count` are left (the same number of cells in each)."""
    size = max(1, len(cells) // count)
    groups = [cells[at : at + size] for at in range(0, len(cells) - size + 1, size)]
    return [
        Cell(
            group[0].start_ns,
            group[-1].end_ns,
            np.sum([cell.counts for cell in group], axis=0),
            sum(cell.due for cell in group),
            sum(cell.bad for cell in group),
        )
        for group in groups
    ]


def percentile_ms(counts: NDArray[np.int64], q: float) -> float:
    """Nearest rank, to the middle of its bin; NaN for no requests."""
    total = int(counts.sum())
    if total == 0:
        return float("nan")
    place = int(np.searchsorted(np.cumsum(counts), max(1, int(np.ceil(q * total)))))
    return float(_LOW_NS * _RATIO ** (place + 0.5)) / NS_PER_MS


def above(counts: NDArray[np.int64], limit_ms: float) -> int:
    """How many took longer than the limit, to a bin."""
    place = int(np.ceil(np.log(max(limit_ms * NS_PER_MS / _LOW_NS, 1.0)) / np.log(_RATIO)))
    return int(counts[place:].sum())


def middles_s(cells: list[Cell]) -> Column:
    """The middle of each cell, in seconds after the start of the first."""
    return np.array([(cell.start_ns + cell.end_ns) / 2 - cells[0].start_ns for cell in cells]) / NS_PER_S
