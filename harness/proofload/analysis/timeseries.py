"""A phase second by second, for pictures: what was due, what became of it, how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.summary import TIMED, latencies, with_outcome
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import OUTCOME_NAMES, Outcome, Samples

P99_NEEDS = 100
"""Timed samples a bin must hold to have a p99 at all."""


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """Columns of equal length, one entry per bin.

    `outcomes`, `planned`, `p50_ms` and `p99_ms` go by due time; `goodput_rps` by completion. NaN where a
    bin has no such percentile. The percentiles of a bin describe it; they carry no interval.
    """

    start_ns: int
    bin_s: float
    t_s: NDArray[np.float64]
    """Start of each bin, seconds after `start_ns`."""
    planned: NDArray[np.int64]
    outcomes: Mapping[str, NDArray[np.int64]]
    p50_ms: NDArray[np.float64]
    p99_ms: NDArray[np.float64]
    goodput_rps: NDArray[np.float64]


def timeseries(samples: Samples, bin_s: float = 1.0, *, start_ns: int | None = None) -> TimeSeries:
    """Bin a stretch of samples (in due order); `start_ns` defaults to the first due time.

    Bins run from there to the last due time or completion, whichever is later.
    """
    if bin_s <= 0:
        raise ValueError(f"bin_s must be positive, not {bin_s}")
    table = samples.table
    if not len(samples):
        none = np.zeros(0)
        counts = np.zeros(0, dtype=np.int64)
        return TimeSeries(start_ns or 0, bin_s, none, counts, dict.fromkeys(OUTCOME_NAMES, counts), none, none, none)
    intended = np.ascontiguousarray(table["intended_ns"])
    start = int(intended[0]) if start_ns is None else start_ns
    width = round(bin_s * NS_PER_S)
    last = max(int(intended[-1]), int(table["done_ns"].max()))
    bins = max(1, (last - start) // width + 1)
    edges = np.searchsorted(intended, start + width * np.arange(bins + 1, dtype=np.int64))
    due_bin = np.repeat(np.arange(bins), np.diff(edges))
    seen = slice(int(edges[0]), int(edges[-1]))
    kinds = len(OUTCOME_NAMES)
    by_outcome = np.bincount(due_bin * kinds + samples.outcome[seen], minlength=bins * kinds).reshape(bins, kinds)
    del due_bin
    p50, p99 = _bin_percentiles(samples, edges)
    return TimeSeries(
        start_ns=start,
        bin_s=bin_s,
        t_s=np.arange(bins, dtype=np.float64) * np.float64(bin_s),
        planned=np.diff(edges).astype(np.int64),
        outcomes={name: by_outcome[:, number] for number, name in enumerate(OUTCOME_NAMES)},
        p50_ms=p50,
        p99_ms=p99,
        goodput_rps=_completions(samples, start, width, bins) / bin_s,
    )


def _completions(samples: Samples, start: int, width: int, bins: int) -> NDArray[np.int64]:
    ok = samples.outcome == Outcome.OK
    done_bin = samples.table["done_ns"][ok]
    done_bin -= start
    done_bin //= width
    return np.bincount(done_bin[done_bin >= 0], minlength=bins)


def _bin_percentiles(samples: Samples, edges: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    latency, _ = latencies(samples)
    before = np.concatenate(([0], np.cumsum(with_outcome(samples, *TIMED), dtype=np.int64)))
    cuts = before[edges]
    p50 = np.full(len(cuts) - 1, np.nan)
    p99 = np.full(len(cuts) - 1, np.nan)
    for index, (low, high) in enumerate(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)):
        n = high - low
        if n == 0:
            continue
        ordered = np.sort(latency[low:high])
        p50[index] = ordered[-(-n // 2) - 1] / NS_PER_MS
        if n >= P99_NEEDS:
            p99[index] = ordered[-(-n * 99 // 100) - 1] / NS_PER_MS
    return p50, p99
