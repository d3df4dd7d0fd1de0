"""What one lifetime under load showed, in the few numbers that lifetimes are compared by.

Percentiles are the plain ones of its sample: how far they stray is seen between lifetimes, not within one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from proofload.analysis.lag import plain_percentiles
from proofload.analysis.percentiles import MIN_EXCEEDING
from proofload.analysis.summary import ANSWERED, latencies, with_outcome
from proofload.clock import NS_PER_MS
from proofload.comparing.plan import Lifetime
from proofload.errors import RunFolderError
from proofload.records import PhaseSummary, Samples
from proofload.scenarios import Slo
from proofload.store.record import RunRecord

KEEPS_UP = 0.9
"""The share of requests answered well below which a target does not keep up with what is asked of it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One valid lifetime under a load. Durations in milliseconds; None where nothing was answered."""

    name: str
    pair: int
    option: int
    answers: int
    ok: int
    due: int
    offered_rps: float
    service_p50: float | None
    latency: Mapping[str, float]
    """Percentiles by name, "p99": whatever the sample supports."""
    over: Mapping[str, int]
    """How many answers were over each limit of the scenario's SLO, "p99": 12."""
    host: str
    requests: str
    """What it was asked, as far as it can differ between targets: two of them are compared only if it is the same."""
    checked: bool
    """Whether any payload said which answer is right."""
    fresh: bool
    """False: a process that was running already, the same one each time."""

    @property
    def ok_share(self) -> float:
        return self.ok / self.due if self.due else 0.0

    @property
    def keeps_up(self) -> bool:
        return self.ok_share >= KEEPS_UP

    @property
    def p99_supported(self) -> bool:
        """Whether enough answers were slower than the p99 for it to be one."""
        return self.answers * 0.01 >= MIN_EXCEEDING


def reading(record: RunRecord, lifetime: Lifetime) -> Reading:
    """Of a complete run. Raises RunFolderError where what it did is not all there."""
    run = record.run
    phase = next((phase for phase in record.phases if phase.measured), None)
    summary = next((phase for phase in record.result.phases if phase.measured), None)
    if phase is None or summary is None:
        raise RunFolderError(f"no phase of {record.path} counts", remedy="remove the folder: it is made again")
    counted = Samples(record.samples(phase.index).table[summary.excluded :])
    if _due(summary) and not len(counted.table):
        raise RunFolderError(
            f"the samples of {record.path} are gone",
            evidence=f"{_due(summary):,} requests were due",
            remedy="remove the folder: it is made again",
        )
    limits = Slo.model_validate(run["scenario"]["slo"]).limits().items()
    observed, gave_up = latencies(counted, timeout_s=float(run["scenario"]["timeout_s"]))
    answered = counted.where(with_outcome(counted, *ANSWERED) & (counted.table["sent_ns"] > 0))
    return Reading(
        name=record.path.name,
        pair=lifetime.pair or 0,
        option=lifetime.option,
        answers=len(observed),
        ok=summary.outcomes["ok"],
        due=_due(summary),
        offered_rps=summary.offered_rps,
        service_p50=plain_percentiles(answered.service_ns).get("p50"),
        latency=plain_percentiles(observed),
        over={name: int(np.count_nonzero((observed > limit_ms * NS_PER_MS) | gave_up)) for name, limit_ms in limits},
        host=str(run["host"].get("host_id", "")),
        requests=_asked(run),
        checked=bool(run["payloads"]["with_expectation"]),
        fresh=run["placement"]["runtime"] != "external",
    )


def _due(summary: PhaseSummary) -> int:
    return sum(summary.outcomes.values()) - summary.outcomes["unsent"]


def _asked(run: Mapping[str, Any]) -> str:
    pool = run["payloads"]
    size = f"{pool['count']:,} payloads of {pool['mean_bytes']:,.0f} bytes"
    return f"{size} (SHA-256 {pool['bodies_sha256'][:12]}), {pool['with_expectation']:,} with an answer"
