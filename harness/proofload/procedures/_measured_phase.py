"""One phase of load, judged: warm-up left out, numbers, SLO, and whether the client may be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from proofload import brokers
from proofload.analysis.health import client_health
from proofload.analysis.lag import plain_percentiles
from proofload.analysis.summary import ErrorKind, due_since, error_counts, latencies, summarise, with_outcome
from proofload.analysis.warmup import Warmup, warmup_end
from proofload.clock import NS_PER_S
from proofload.procedures import Circumstances
from proofload.records import Check, ClientHealth, Outcome, Phase, PhaseSummary, Samples, Status, Validity
from proofload.scenarios import Scenario
from proofload.verdict import validity as validity_rules
from proofload.verdict.slo import slo_checks


@dataclass(frozen=True, slots=True)
class MeasuredPhase:
    """What one phase showed."""

    phase: Phase
    summary: PhaseSummary
    checks: tuple[Check, ...]
    validity: tuple[Validity, ...]
    health: ClientHealth
    warmup: Warmup | None
    observed_ms: Mapping[str, float]
    """Plain latency percentiles, whatever the sample supports: for searching, never for reporting."""

    @property
    def span_ns(self) -> tuple[int, int]:
        """From the end of its warm-up to its own end."""
        cut_ns = 0 if self.warmup is None else self.warmup.cut_ns
        return max(self.phase.start_ns, cut_ns), self.phase.start_ns + round(self.phase.duration_s * NS_PER_S)

    @property
    def valid(self) -> bool:
        return all(item.ok for item in self.validity)


def measure(
    phase: Phase,
    samples: Samples,
    scenario: Scenario,
    around: Circumstances,
    *,
    find_warmup: bool,
    alpha_share: float = 1.0,
) -> MeasuredPhase:
    """Judge one phase. `find_warmup`: look for a change point in its first fifth and leave out what precedes it.

    `alpha_share`: the part of the scenario's error rates that this phase may use.
    """
    warmup = _warmup(samples) if find_warmup and len(samples) else None
    cut_ns = warmup.cut_ns if warmup is not None else 0
    summary = summarise(phase, samples, cut_ns=cut_ns, timeout_s=scenario.timeout_s)
    errors = error_counts(samples, around.names)
    checks = slo_checks(
        summary,
        samples,
        {**{f"{name}_ms": limit for name, limit in scenario.slo.limits().items()}, "ok_share": scenario.slo.ok_share},
        cut_ns=cut_ns,
        alpha_fail=scenario.alpha_fail * alpha_share,
        alpha_pass=scenario.alpha_pass * alpha_share,
        answers_checked=around.answers_checked,
        unchecked=around.unchecked,
        timeout_s=scenario.timeout_s,
    )
    health = client_health(samples, around.worker_stats, cut_ns=cut_ns)
    validity = validity_rules.judge(
        validity_rules.Evidence(
            phase=phase,
            samples=samples,
            health=health,
            cut_ns=cut_ns,
            duration_s=summary.duration_s,
            worker_stats=around.worker_stats,
            client_errors={kind.kind: kind.count for kind in errors},
            shared_cores=around.shared_cores,
            backlog=_backlog(samples, around) if around.embedded_broker else None,
            closed_loop=_closed_loop(around.closed_loops.get(phase.index)),
        )
    )
    observed, _ = latencies(due_since(samples, cut_ns), timeout_s=scenario.timeout_s)
    checks = tuple(_naming_errors(check, errors) for check in checks)
    return MeasuredPhase(phase, summary, checks, validity, health, warmup, plain_percentiles(observed))


def _closed_loop(told: Mapping[str, int] | None) -> validity_rules.ClosedLoop | None:
    if told is None:
        return None
    return validity_rules.ClosedLoop(users=told["users"], held_up=told["held_up"], of=told["of"])


def _backlog(samples: Samples, around: Circumstances) -> validity_rules.Backlog:
    """What waited in each partition of the embedded broker at the worst moment; keys spread evenly over them."""
    table = samples.table
    answered_ns = np.where(with_outcome(samples, Outcome.TIMEOUT), 0, table["done_ns"])
    messages = brokers.largest_backlog(table["sent_ns"], answered_ns) / brokers.PARTITIONS
    each = around.payload_bytes + brokers.RECORD_OVERHEAD_BYTES
    return validity_rules.Backlog(messages=round(messages), bytes=round(messages * each))


def _naming_errors(check: Check, errors: Sequence[ErrorKind]) -> Check:
    """What went wrong most often stands beside the share that went wrong."""
    if check.name != "ok_share" or check.status is Status.PASS or not errors:
        return check
    return replace(check, evidence=f"{check.evidence} Most often: {errors[0].kind} ({errors[0].count:,}).")


def _warmup(samples: Samples) -> Warmup:
    table = samples.table
    return warmup_end(table["intended_ns"], samples.latency_ns, with_outcome(samples, Outcome.OK))
