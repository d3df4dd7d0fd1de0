"""What a phase did, in numbers: outcomes, rates, and percentiles over the right samples.

Latency percentiles are taken over ok, wrong, late and timeout. A refusal or an error is not an answer:
fast ones would flatter the percentiles, so they are counted beside them. Whatever is left out is counted too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.lag import withhold_lagging
from proofload.analysis.percentiles import distribution
from proofload.clock import NS_PER_S
from proofload.records import OUTCOME_NAMES, Outcome, Phase, PhaseSummary, Samples

ANSWERED = (Outcome.OK, Outcome.WRONG, Outcome.LATE)
"""Outcomes with an answer whose service time means something."""
TIMED = (*ANSWERED, Outcome.TIMEOUT)
"""Outcomes that latency percentiles are taken over."""


def due_since(samples: Samples, cut_ns: int) -> Samples:
    """The samples due at or after an instant, as a view; all of them for 0."""
    if cut_ns <= 0 or not len(samples):
        return samples
    intended = np.ascontiguousarray(samples.table["intended_ns"])
    return Samples(samples.table[np.searchsorted(intended, cut_ns) :])


def with_outcome(samples: Samples, *outcomes: Outcome) -> NDArray[np.bool_]:
    """Mask of the samples with one of these outcomes."""
    wanted = np.zeros(256, dtype=np.bool_)
    wanted[[int(outcome) for outcome in outcomes]] = True
    return wanted[samples.outcome]


def outcome_counts(samples: Samples) -> dict[str, int]:
    """Samples per outcome name; their sum is the number of samples."""
    counts = np.bincount(samples.outcome, minlength=len(OUTCOME_NAMES))
    return {name: int(counts[number]) for number, name in enumerate(OUTCOME_NAMES)}


def latencies(samples: Samples, *, timeout_s: float | None = None) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Latencies of all timed samples in due order, and which of them are timeouts (lower bounds).

    A timeout counts as at least `timeout_s`, and as at least the longest latency when its end was
    never recorded.
    """
    table = samples.table
    timed = with_outcome(samples, *TIMED)
    everything = bool(timed.all())
    done = np.ascontiguousarray(table["done_ns"]) if everything else table["done_ns"][timed]
    outcome = samples.outcome if everything else samples.outcome[timed]
    gave_up = outcome == Outcome.TIMEOUT
    latency = done - (table["intended_ns"] if everything else table["intended_ns"][timed])
    if gave_up.any():
        unended = gave_up & (done == 0)
        if unended.any():
            latency[unended] = 0
            latency[unended] = latency.max()
        if timeout_s is not None:
            floor = np.int64(round(timeout_s * NS_PER_S))
            np.maximum(latency, floor, out=latency, where=gave_up)
    return latency, gave_up


def summarise(
    phase: Phase,
    samples: Samples,
    *,
    cut_ns: int = 0,
    confidence: float = 0.99,
    delivery: Mapping[str, int] | None = None,
    timeout_s: float | None = None,
) -> PhaseSummary:
    """Summary of one phase from its own samples.

    Samples due before the instant `cut_ns` are left out and counted in `excluded`. Planned requests
    without a record (the lab was killed) count as unsent, so that planned = Σ outcomes + excluded;
    whether records are missing is for verdict/validity.py to say. A p99.9 or p99.99 of latency that the
    client's own lag has spoiled is None (see lag.py). Rates are per second of the
    measured stretch, which ends with the last request that was dispatched when not all were.
    """
    measured = due_since(samples, cut_ns)
    excluded = len(samples) - len(measured)
    outcomes = outcome_counts(measured)
    outcomes["unsent"] += max(0, phase.planned - len(samples))
    duration_s = _stretch_s(phase, measured, cut_ns, complete=outcomes["unsent"] == 0)
    due = _due_within(measured, duration_s, outcomes)
    latency, gave_up = latencies(measured, timeout_s=timeout_s)
    table = measured.table
    answered = with_outcome(measured, *ANSWERED) & (table["sent_ns"] > 0)
    sent = table["sent_ns"] > 0
    return PhaseSummary(
        name=phase.name,
        planned=phase.planned,
        outcomes=outcomes,
        offered_rps=due / duration_s if duration_s > 0 else 0.0,
        goodput_rps=outcomes["ok"] / duration_s if duration_s > 0 else 0.0,
        latency=withhold_lagging(
            distribution(latency, censored=gave_up, confidence=confidence), latency, send_lags(measured)
        ),
        service=distribution(_between(table, "sent_ns", "done_ns", answered), confidence=confidence),
        connection_wait=distribution(_between(table, "dispatched_ns", "sent_ns", sent), confidence=confidence),
        duration_s=duration_s,
        excluded=excluded,
        measured=phase.measured,
        delivery=delivery,
    )


def send_lags(samples: Samples) -> NDArray[np.int64]:
    """dispatched − intended of all dispatched samples, in due order."""
    return _between(samples.table, "intended_ns", "dispatched_ns", samples.table["dispatched_ns"] > 0)


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One kind of error and how often it was seen with which status (-1: the peer sent none)."""

    kind: str
    count: int
    statuses: Mapping[int, int]


def error_counts(samples: Samples, names: Mapping[int, str]) -> tuple[ErrorKind, ...]:
    """Errors by kind, most frequent first. `names` turns a sample's `error` number into its text."""
    numbers = np.ascontiguousarray(samples.table["error"])
    present = np.flatnonzero(numbers)
    packed = (numbers[present].astype(np.int64) << 32) + (samples.table["status"][present].astype(np.int64) + 2**31)
    kinds: dict[int, dict[int, int]] = {}
    for pair, count in zip(*np.unique(packed, return_counts=True), strict=True):
        number, status = int(pair) >> 32, (int(pair) & 0xFFFFFFFF) - 2**31
        kinds.setdefault(number, {})[status] = int(count)
    found = [
        ErrorKind(names.get(number, f"error {number}"), sum(statuses.values()), statuses)
        for number, statuses in kinds.items()
    ]
    return tuple(sorted(found, key=lambda error: (-error.count, error.kind)))


def _between(table: NDArray[np.void], start: str, end: str, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    duration: NDArray[np.int64] = table[end] - table[start]
    return duration if mask.all() else duration[mask]


def _stretch_s(phase: Phase, measured: Samples, cut_ns: int, *, complete: bool) -> float:
    begin = max(phase.start_ns, cut_ns)
    end = phase.start_ns + round(phase.duration_s * NS_PER_S)
    if not complete:
        table = measured.table
        went = np.flatnonzero(table["dispatched_ns"] > 0)
        last = int(table["intended_ns"][went[-1]]) if len(went) else begin
        end = min(end, last)
    return max(0.0, (end - begin) / NS_PER_S)


def _due_within(measured: Samples, duration_s: float, outcomes: Mapping[str, int]) -> int:
    """Requests that were due within the measured stretch."""
    if outcomes["unsent"] == 0 or duration_s <= 0:
        return len(measured)
    return int(np.count_nonzero(measured.table["dispatched_ns"] > 0))
