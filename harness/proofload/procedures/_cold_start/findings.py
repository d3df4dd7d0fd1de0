"""What a run of restarts shows, put together: checks, validity, sentences, and the data of its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from proofload.analysis.health import client_health
from proofload.analysis.lag import plain_percentiles
from proofload.analysis.summary import send_lags
from proofload.clock import NS_PER_S
from proofload.procedures import Circumstances, Evidence, Findings
from proofload.procedures._cold_start.judging import checks_of, look_at
from proofload.procedures._cold_start.lives import GUARDS
from proofload.procedures._cold_start.reading import ColdRun, read
from proofload.procedures._cold_start.telling import details_of, sentences
from proofload.procedures._measured_phase import MeasuredPhase, measure
from proofload.records import Check, ClientHealth, Interval, Outcome, Phase, Samples, Status, Validity
from proofload.report.numbers import short
from proofload.verdict import validity as validity_rules
from proofload.verdict.codes import STARVED_WITH_LAG

if TYPE_CHECKING:
    from proofload.procedures._cold_start.settings import Settings


PERMITTED_LAG = 0.1
AT_THE_CUT_NS = NS_PER_S // 20


def concluded(evidence: Evidence, scenario: Settings) -> Findings:
    run = read(evidence)
    if not run.lives:
        return Findings.nothing(evidence)
    around = Circumstances.of(evidence)
    measured = {
        phase.index: measure(
            phase, evidence.samples(phase.index), scenario, around, find_warmup=phase.measured, alpha_share=1 / GUARDS
        )
        for phase in evidence.phases
    }
    steady = None if run.steady is None else measured[run.steady.index]
    seen = look_at(evidence, run, scenario, 0 if steady is None or steady.warmup is None else steady.warmup.cut_ns)
    checks = (*checks_of(run, seen, scenario), *(_no_steady() if steady is None else steady.checks))
    return Findings(
        phases=tuple(one.summary for one in measured.values()),
        checks=checks,
        validity=_validity(evidence, run, around, measured, seen.slow_ms, limited=bool(scenario.slo.limits())),
        client=None if steady is None else steady.health,
        warmup={} if steady is None else {"excluded": steady.summary.excluded},
        headline=sentences(evidence, run, seen, checks),
        details=details_of(run, seen, scenario),
    )


def _no_steady() -> tuple[Check, ...]:
    return (
        Check(
            "steady", Status.INCONCLUSIVE, None, None, "", Interval(None, None), "no instance was loaded until warm",
            settle="a restart that comes up in time, and a run that is not cut short",
        ),
    )  # fmt: skip


def _validity(
    evidence: Evidence,
    run: ColdRun,
    around: Circumstances,
    measured: Mapping[int, MeasuredPhase],
    slow_ms: float | None,
    *,
    limited: bool,
) -> tuple[Validity, ...]:
    """`limited`: percentiles of the steady stretch have limits, so they have to be right to the millisecond.

    All restarts are one stretch: each is too short to say much of the client.
    """
    judged: dict[str, Sequence[Validity]] = {}
    parts = [life.phase for life in run.lives if life.phase is not None]
    if parts:
        cut = [(phase, evidence.samples(phase.index)) for phase in parts]
        judged["restarts"] = _but_for_the_cut(_by_what_is_decided(*_pooled(cut, around), slow_ms), cut)
    if run.joining is not None:
        own = run.joining.phase
        seen = _by_what_is_decided(
            measured[own.index].validity, measured[own.index].health, run.joining.samples, slow_ms
        )
        judged[own.name] = _but_for_the_cut(seen, [(own, run.joining.samples)])
    if run.steady is not None:
        strict = measured[run.steady.index].validity
        samples = evidence.samples(run.steady.index)
        judged["steady"] = (
            strict if limited else _by_what_is_decided(strict, measured[run.steady.index].health, samples, slow_ms)
        )
    return validity_rules.merged(judged)


def _by_what_is_decided(
    judged: Sequence[Validity], health: ClientHealth, samples: Samples, slow_ms: float | None
) -> tuple[Validity, ...]:
    """No percentile is judged here: answers are told from those that take `slow_ms`, and requests
    that fail from those that do not. A client that is late by less than a tenth of that decides nothing."""
    lag_ms = plain_percentiles(send_lags(samples)).get("p99", 0.0)
    if slow_ms is None or lag_ms > PERMITTED_LAG * slow_ms:
        return tuple(judged)
    codes = {item.code: item for item in judged}
    if codes["send-lag"].ok:
        return tuple(judged)
    told = f"here answers above {short(slow_ms)} ms are told from faster ones, and nothing less"
    told = f"{codes['send-lag'].detail}; {told}"
    eased = [Validity("send-lag", ok=True, detail=told) if item.code == "send-lag" else item for item in judged]
    if (health.runqueue_share or 0.0) < STARVED_WITH_LAG:
        eased = [Validity(one.code, ok=True, detail=one.detail) if one.code == "cpu-starved" else one for one in eased]
    return tuple(eased)


def _but_for_the_cut(judged: Sequence[Validity], stretches: Sequence[tuple[Phase, Samples]]) -> tuple[Validity, ...]:
    """The procedure ends these stretches itself: what fell due in that moment was not left out by a late client."""
    late = 0
    for phase, samples in stretches:
        due = samples.table["intended_ns"][samples.outcome == Outcome.UNSENT]
        late += int(np.count_nonzero(due < phase.start_ns + round(phase.duration_s * NS_PER_S) - AT_THE_CUT_NS))
    if late:
        return tuple(judged)
    return tuple(Validity(one.code, ok=True, detail=one.detail) if one.code == "unsent" else one for one in judged)


def _pooled(
    parts: Sequence[tuple[Phase, Samples]], around: Circumstances
) -> tuple[tuple[Validity, ...], ClientHealth, Samples]:
    tables, planned = [], 0
    for phase, own in parts:
        table = own.table.copy()
        table["seq"] += planned
        planned += phase.planned
        tables.append(table)
    samples = Samples(np.concatenate(tables))
    length_s = sum(phase.duration_s for phase, _ in parts)
    whole = replace(parts[0][0], name="restarts", planned=planned, duration_s=length_s)
    health = client_health(samples, around.worker_stats, cut_ns=0)
    judged = validity_rules.judge(
        validity_rules.Evidence(
            phase=whole,
            samples=samples,
            health=health,
            duration_s=length_s,
            worker_stats=around.worker_stats,
            shared_cores=around.shared_cores,
        )
    )
    return judged, health, samples
