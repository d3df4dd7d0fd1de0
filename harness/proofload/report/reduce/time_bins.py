"""A run over time: what was due, what came of it, how long it took, in at most a few hundred bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.summary import TIMED, latencies, with_outcome
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import OUTCOME_NAMES, Outcome, Phase, Samples

MAX_BINS = 200
_WIDTHS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
_SAMPLES_PER_BIN = 50  # below that a bin's median is mostly noise
_P99_NEEDS = 100  # answers in a bin, so that its 99th percentile is not simply its maximum


@dataclass(frozen=True, slots=True)
class LatencyBins:
    """Latency of the requests that were due in each bin of one phase, in ms; NaN where there is none.

    They describe the bin and estimate nothing: p99 is left out of bins with fewer than 100 answers.
    """

    phase: int
    t_s: NDArray[np.float64]
    n: NDArray[np.int64]
    p50: NDArray[np.float64]
    p99: NDArray[np.float64]
    highest: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """`due_rps`: planned requests by due time; `ended_rps[outcome]`: by the instant they ended. Bin centres in s."""

    width_s: float
    t_s: NDArray[np.float64]
    due_rps: NDArray[np.float64]
    ended_rps: dict[str, NDArray[np.float64]]
    latency: tuple[LatencyBins, ...]


class TimeBins:
    """Collects phases in any order; `series` is what they amount to. Instants count from `start_ns`."""

    def __init__(self, phases: Sequence[Phase], timeout_s: float | None = None) -> None:
        self.start_ns = min((phase.start_ns for phase in phases), default=0)
        end = max((phase.start_ns + round(phase.duration_s * NS_PER_S) for phase in phases), default=0)
        span_s = max((end - self.start_ns) / NS_PER_S, 0.1)
        planned = sum(max(phase.planned, round(phase.rate_rps * phase.duration_s)) for phase in phases)
        self.width_s = _width(span_s, planned)
        self._timeout_s = timeout_s
        patience_s = min(timeout_s or 0.0, span_s)  # requests due at the end may end this much later
        bins = max(1, int(np.ceil((span_s + patience_s) / self.width_s)))
        self._due = np.zeros(bins, np.int64)
        self._ended = np.zeros((bins, len(OUTCOME_NAMES)), np.int64)
        self._latency: list[LatencyBins] = []

    def add(self, phase: Phase, samples: Samples) -> None:
        if not len(samples):
            return
        table = samples.table
        bins = len(self._due)
        self._due += np.bincount(self._bin(table["intended_ns"]), minlength=bins)[:bins]
        outcome = samples.outcome
        ended = np.where(table["done_ns"] > 0, table["done_ns"], table["intended_ns"])
        flat = self._bin(ended) * len(OUTCOME_NAMES) + outcome
        self._ended += np.bincount(flat, minlength=self._ended.size)[: self._ended.size].reshape(self._ended.shape)
        self._latency.append(self._latency_of(phase, samples))

    def series(self) -> TimeSeries | None:
        """None when no sample was added."""
        if not self._latency:
            return None
        used = int(np.flatnonzero(self._due + self._ended.sum(axis=1))[-1]) + 1
        ended = self._ended[:used] / self.width_s
        return TimeSeries(
            width_s=self.width_s,
            t_s=(np.arange(used, dtype=np.float64) + 0.5) * self.width_s,
            due_rps=self._due[:used] / self.width_s,
            ended_rps={name: ended[:, index] for index, name in enumerate(OUTCOME_NAMES)},
            latency=tuple(sorted(self._latency, key=lambda bins: bins.phase)),
        )

    def _bin(self, t_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        index = (t_ns - self.start_ns) // round(self.width_s * NS_PER_S)
        return np.clip(index, 0, len(self._due) - 1, out=index)

    def _latency_of(self, phase: Phase, samples: Samples) -> LatencyBins:
        intended = samples.table["intended_ns"][with_outcome(samples, *TIMED)]
        latency, _ = latencies(samples, timeout_s=self._timeout_s)
        width_ns = round(self.width_s * NS_PER_S)
        bins = max(1, int(np.ceil(phase.duration_s / self.width_s)))
        edges = np.searchsorted(intended, phase.start_ns + np.arange(1, bins, dtype=np.int64) * width_ns)
        rows = np.full((3, bins), np.nan)
        counts = np.zeros(bins, np.int64)
        for index, part in enumerate(np.split(latency, edges)):
            counts[index] = len(part)
            if len(part):
                rows[:, index] = _summary(part)
        t_s = (phase.start_ns - self.start_ns) / NS_PER_S + (np.arange(bins) + 0.5) * self.width_s
        end_s = (phase.start_ns - self.start_ns) / NS_PER_S + phase.duration_s
        p50, p99, highest = rows
        return LatencyBins(phase.index, np.minimum(t_s, end_s), counts, p50, p99, highest)


def _summary(latency_ns: NDArray[np.int64]) -> tuple[float, float, float]:
    n = len(latency_ns)
    middle, high = (n + 1) // 2 - 1, int(np.ceil(0.99 * n)) - 1
    ranked = np.partition(latency_ns, sorted({middle, high, n - 1}))
    p99 = ranked[high] / NS_PER_MS if n >= _P99_NEEDS else np.nan
    return ranked[middle] / NS_PER_MS, p99, ranked[n - 1] / NS_PER_MS


def _width(span_s: float, planned: int) -> float:
    """The narrowest usual width that keeps within MAX_BINS and, if it can, gives bins enough samples."""
    fitting = [width for width in _WIDTHS_S if span_s / width <= MAX_BINS] or [span_s / MAX_BINS]
    for width in fitting:
        if planned * width / span_s >= _SAMPLES_PER_BIN or span_s / width < 30:
            return width
    return fitting[-1]


NOT_OK = tuple(outcome.name.lower() for outcome in Outcome if outcome is not Outcome.OK)
"""Names of all outcomes but ok."""
