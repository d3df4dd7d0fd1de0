"""Samples as Locust's page counts them, for its live charts: rounded, by the second. No verdict is made of this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import OUTCOME_NAMES, Outcome

_STEPS = ((100.0, 1.0), (1000.0, 10.0), (10_000.0, 100.0), (np.inf, 1000.0))
"""Locust rounds to about two digits: below each bound to multiples of the step."""


def charted(rows: NDArray[np.void], *, name: str, wall_offset_ns: int) -> dict[str, Any]:
    """Counts to be added to an entry of Locust's statistics. Plain data: it crosses to its process as JSON.

    An answer counts at the second it came; what was never answered, at the second it was due.
    """
    answered = rows["done_ns"] > 0
    at_ns = np.where(answered, rows["done_ns"], rows["intended_ns"]) + wall_offset_ns
    latency_ms = (rows["done_ns"] - rows["intended_ns"])[answered] / NS_PER_MS
    failed = rows["outcome"] != Outcome.OK
    seconds = at_ns // NS_PER_S
    return {
        "name": name,
        "num_requests": len(rows),
        "num_none_requests": int(np.count_nonzero(~answered)),
        "num_failures": int(np.count_nonzero(failed)),
        "total_response_time": float(latency_ms.sum()),
        "max_response_time": float(latency_ms.max(initial=0.0)),
        "min_response_time": float(latency_ms.min()) if len(latency_ms) else None,
        "total_content_length": int(rows["bytes_in"].sum(dtype=np.int64)),
        "start_time": float(at_ns.min()) / NS_PER_S if len(rows) else None,
        "last_request_timestamp": float(at_ns.max()) / NS_PER_S if len(rows) else None,
        "response_times": _counted(rounded(latency_ms)),
        "num_reqs_per_sec": _counted(seconds),
        "num_fail_per_sec": _counted(seconds[failed]),
        "failures": _by_outcome(rows["outcome"]),
    }


def rounded(latency_ms: NDArray[np.float64]) -> NDArray[np.int64]:
    """As Locust rounds."""
    steps = np.select([latency_ms < bound for bound, _ in _STEPS], [step for _, step in _STEPS])
    whole: NDArray[np.int64] = (np.round(latency_ms / steps) * steps).astype(np.int64)
    return whole


def _counted(values: NDArray[np.int64]) -> Sequence[tuple[int, int]]:
    kinds, counts = np.unique(values, return_counts=True)
    return list(zip(kinds.tolist(), counts.tolist(), strict=True))


def _by_outcome(outcomes: NDArray[np.uint8]) -> Mapping[str, int]:
    counts = np.bincount(outcomes, minlength=len(Outcome)).tolist()
    return {
        name: counts[number] for number, name in enumerate(OUTCOME_NAMES) if number != Outcome.OK and counts[number]
    }
