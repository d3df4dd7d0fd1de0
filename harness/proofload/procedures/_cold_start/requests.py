"""Samples as the analysis of cold starts takes them."""

from __future__ import annotations

import numpy as np

from proofload.analysis.openings import Requests
from proofload.clock import NS_PER_MS
from proofload.records import Outcome, Samples

_BAD = (Outcome.WRONG, Outcome.SHED, Outcome.ERROR, Outcome.TIMEOUT)
_TIMED = (Outcome.OK, Outcome.WRONG, Outcome.LATE, Outcome.TIMEOUT)


def requests_of(samples: Samples, arm: int | None = None) -> Requests:
    """What was sent (to one arm), copies for comparison left out. A timeout counts as long as it lasted."""
    table = samples.table
    kept = (table["outcome"] != Outcome.UNSENT) & (table["mirror"] == 0)
    if arm is not None:
        kept &= table["arm"] == arm
    table = table[kept]
    outcome = table["outcome"]
    latency_ms = np.where(np.isin(outcome, _TIMED), (table["done_ns"] - table["intended_ns"]) / NS_PER_MS, np.nan)
    return Requests(
        due_ns=table["intended_ns"].astype(np.int64),
        done_ns=table["done_ns"].astype(np.int64),
        latency_ms=latency_ms.astype(np.float64),
        bad=np.isin(outcome, _BAD),
    )
