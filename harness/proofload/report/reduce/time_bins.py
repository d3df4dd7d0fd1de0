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
    """Bin centres."""
    n: NDArray[np.int64]
    p50: NDArray[np.float64]
    p99: NDArray[np.float64]
    highest: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """Rates between `edges_s` (one more than rates), which fall on the phases' starts and ends.

    `due_rps`: planned requests by due time; `ended_rps[outcome]`: by the instant they ended.
    """

    width_s: float
    edges_s: NDArray[np.float64]
    due_rps: NDArray[np.float64]
    ended_rps: dict[str, NDArray[np.float64]]
    latency: tuple[LatencyBins, ...]


class TimeBins:
    """Collects phases in any order; `series` is what they amount to. Instants count from `start_ns`."""

    def __init__(self, phases: Sequence[Phase], timeout_s: float | None = None) -> None:
        self.start_ns = min((phase.start_ns for phase in phases), default=0)
        spans = [_span(phase) for phase in phases]
        span_s = max((max(end for _, end in spans) - self.start_ns) / NS_PER_S if spans else 0.0, 0.1)
        planned = sum(max(phase.planned, round(phase.rate_rps * phase.duration_s)) for phase in phases)
        self.width_s = _width(span_s, planned)
        self._timeout_s = timeout_s
        patience_s = min(timeout_s or 0.0, span_s)  # requests due at the end may end this much later
        self._edges = _edges(spans, round(self.width_s * NS_PER_S), round(patience_s * NS_PER_S))
        bins = max(1, len(self._edges) - 1)
        self._due = np.zeros(bins, np.int64)
        self._ended = np.zeros((bins, len(OUTCOME_NAMES)), np.int64)
        self._latency: list[LatencyBins] = []

    def add(self, phase: Phase, samples: Samples) -> None:
        if not len(samples):
            return
        self._due += np.bincount(self._bin(samples.table["intended_ns"]), minlength=len(self._due))
        self._ended += self._ended_in(samples)
        self._latency.append(self._latency_of(phase, samples))

    def _ended_in(self, samples: Samples) -> NDArray[np.int64]:
        done = samples.table["done_ns"]
        flat = self._bin(np.where(done > 0, done, samples.table["intended_ns"]))
        flat *= len(OUTCOME_NAMES)
        flat += samples.outcome
        return np.bincount(flat, minlength=self._ended.size).reshape(self._ended.shape)

    def series(self) -> TimeSeries | None:
        """None when no sample was added."""
        if not self._latency:
            return None
        used = int(np.flatnonzero(self._due + self._ended.sum(axis=1))[-1]) + 1
        widths = np.diff(self._edges[: used + 1]) / NS_PER_S
        ended = self._ended[:used] / widths[:, None]
        return TimeSeries(
            width_s=self.width_s,
            edges_s=(self._edges[: used + 1] - self.start_ns) / NS_PER_S,
            due_rps=self._due[:used] / widths,
            ended_rps={name: ended[:, index] for index, name in enumerate(OUTCOME_NAMES)},
            latency=tuple(sorted(self._latency, key=lambda bins: bins.phase)),
        )

    def _bin(self, t_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        index = np.searchsorted(self._edges, t_ns, side="right") - 1
        return np.clip(index, 0, len(self._due) - 1, out=index)

    def _latency_of(self, phase: Phase, samples: Samples) -> LatencyBins:
        intended = samples.table["intended_ns"][with_outcome(samples, *TIMED)]
        latency, _ = latencies(samples, timeout_s=self._timeout_s)
        edges = _edges([_span(phase)], round(self.width_s * NS_PER_S), 0)
        rows = np.full((3, len(edges) - 1), np.nan)
        counts = np.zeros(len(edges) - 1, np.int64)
        for index, part in enumerate(np.split(latency, np.searchsorted(intended, edges[1:-1]))):
            counts[index] = len(part)
            if len(part):
                rows[:, index] = _summary(part)
        t_s = ((edges[:-1] + edges[1:]) / 2 - self.start_ns) / NS_PER_S
        p50, p99, highest = rows
        return LatencyBins(phase.index, t_s, counts, p50, p99, highest)


def _span(phase: Phase) -> tuple[int, int]:
    return phase.start_ns, phase.start_ns + max(1, round(phase.duration_s * NS_PER_S))


def _edges(spans: Sequence[tuple[int, int]], width: int, after: int) -> NDArray[np.int64]:
    """Bin edges (ns): each phase in steps of `width`, its rest joined to its last bin when shorter than half; gaps
    between phases as one bin each; and `after` the last one as many bins as it takes."""
    edges: list[int] = []
    for start, end in sorted(spans):
        inner = list(range(start, end, width))
        if len(inner) > 1 and end - inner[-1] < width / 2:
            inner.pop()
        edges += [*inner, end]
    last = edges[-1] if edges else 0
    edges += [last + width * step for step in range(1, -(-after // width) + 1)]
    return np.unique(np.array(edges or [0, 1], np.int64))


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
