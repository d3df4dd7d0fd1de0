"""Where the time of a request went: the client's own clock for the whole, the server's histograms for the inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.summary import ANSWERED, with_outcome
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import Samples
from proofload.report.reduce.readings import Increments, Readings, increments

MAX_BINS = 120
PARTS = ("send lag", "connection wait", "outside the model", "queue", "compute")
"""Parts of mean latency, in the order a request passes them; means add up, percentiles do not."""


@dataclass(frozen=True, slots=True)
class ClientMeans:
    """Mean parts of latency (ms) over the answered requests of the measured phases, as the client saw them."""

    n: int
    send_lag_ms: float
    connection_wait_ms: float
    service_ms: float


@dataclass(frozen=True, slots=True)
class ServerTime:
    """Means in ms by the server's own histograms, over the measured phases and over time (NaN: nothing served)."""

    queue_ms: float
    compute_ms: float
    request_ms: float | None
    n: int
    t_s: NDArray[np.float64]
    queue: NDArray[np.float64]
    compute: NDArray[np.float64]


class Means:
    """Adds up the client's parts, phase by phase."""

    def __init__(self) -> None:
        self._n = 0
        self._sums = np.zeros(3)

    def add(self, samples: Samples) -> None:
        chosen = with_outcome(samples, *ANSWERED) & (samples.table["sent_ns"] > 0)
        self._n += int(chosen.sum())
        parts = (samples.send_lag_ns, samples.connection_wait_ns, samples.service_ns)
        self._sums += [float(part[chosen].sum()) for part in parts]

    def found(self) -> ClientMeans | None:
        if not self._n:
            return None
        lag, wait, service = self._sums / self._n / NS_PER_MS
        return ClientMeans(self._n, float(lag), float(wait), float(service))


def server_time(
    readings: Mapping[tuple[int, str, str], Readings],
    windows: list[tuple[int, int]],
    start_ns: int,
    arm: int = 0,
) -> ServerTime | None:
    """None when the target does not export proofload_queue_seconds and proofload_compute_seconds.

    `windows`: start and end (ns) of the measured phases. Means over them; without any, over everything.
    """
    found = {
        part: (
            increments(readings, arm, f"proofload_{part}_seconds_sum"),
            increments(readings, arm, f"proofload_{part}_seconds_count"),
        )
        for part in ("queue", "compute", "request")
    }
    queue, compute = _mean(found["queue"], windows), _mean(found["compute"], windows)
    if queue is None or compute is None:
        return None
    counted = found["queue"][1]
    assert counted is not None  # its mean exists
    edges = _edges(counted)
    return ServerTime(
        queue_ms=queue[0],
        compute_ms=compute[0],
        request_ms=request[0] if (request := _mean(found["request"], windows)) else None,
        n=queue[1],
        t_s=((edges[:-1] + edges[1:]) / 2 - start_ns) / NS_PER_S,
        queue=_binned(found["queue"], edges),
        compute=_binned(found["compute"], edges),
    )


def _mean(
    pair: tuple[Increments | None, Increments | None], windows: list[tuple[int, int]]
) -> tuple[float, int] | None:
    """(mean in ms, number of observations) over the windows."""
    total, number = pair
    if total is None or number is None:
        return None
    spans = windows or [(int(number.t_ns[0]) - 1, int(number.t_ns[-1]))]
    n = sum(number.within(*span) for span in spans)
    return (sum(total.within(*span) for span in spans) / n * 1000, round(n)) if n else None


def _edges(counted: Increments) -> NDArray[np.float64]:
    instants = np.unique(counted.t_ns)
    bins = min(MAX_BINS, max(1, (len(instants) - 1) // 2))
    return np.linspace(instants[0], instants[-1], bins + 1)


def _binned(pair: tuple[Increments | None, Increments | None], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    total, number = pair
    assert total is not None  # checked by the caller through _mean
    assert number is not None
    sums, _ = np.histogram(total.t_ns, edges, weights=total.by)
    counts, _ = np.histogram(number.t_ns, edges, weights=number.by)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts > 0, sums / counts * 1000, np.nan)
