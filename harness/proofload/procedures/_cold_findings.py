"""What a run of restarts shows, put together: checks, validity, sentences, and the data of its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from proofload.analysis.health import client_health
from proofload.procedures import Circumstances, Evidence, Findings
from proofload.procedures._cold_judging import checks_of, look_at
from proofload.procedures._cold_lives import GUARDS
from proofload.procedures._cold_reading import ColdRun, read
from proofload.procedures._cold_telling import details_of, sentences
from proofload.procedures._measured_phase import MeasuredPhase, measure
from proofload.records import Check, Interval, Phase, Samples, Status, Validity
from proofload.verdict import validity as validity_rules

if TYPE_CHECKING:
    from proofload.procedures.cold_start import Settings


def concluded(evidence: Evidence, scenario: Settings) -> Findings:
    run = read(evidence)
    if not run.lives:
        return Findings.nothing(evidence)
    around = Circumstances.of(evidence)
    measured = {
        phase.index: measure(
            phase, evidence.samples(phase.index), scenario, around, find_warmup=False, alpha_share=1 / GUARDS
        )
        for phase in evidence.phases
    }
    steady = None if run.steady is None else measured[run.steady.index]
    seen = look_at(evidence, run, scenario)
    checks = (*checks_of(run, seen, scenario), *(_no_steady() if steady is None else steady.checks))
    return Findings(
        phases=tuple(one.summary for one in measured.values()),
        checks=checks,
        validity=_validity(evidence, run, around, measured),
        client=None if steady is None else steady.health,
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
    evidence: Evidence, run: ColdRun, around: Circumstances, measured: Mapping[int, MeasuredPhase]
) -> tuple[Validity, ...]:
    """All restarts are one stretch: each is too short to say much of the client."""
    judged: dict[str, Sequence[Validity]] = {}
    parts = [life.phase for life in run.lives if life.phase is not None]
    if parts:
        judged["restarts"] = _pooled(evidence, parts, around)
    for phase in (run.steady, run.joining.phase if run.joining is not None else None):
        if phase is not None:
            judged[phase.name] = measured[phase.index].validity
    return validity_rules.merged(judged)


def _pooled(evidence: Evidence, parts: Sequence[Phase], around: Circumstances) -> tuple[Validity, ...]:
    tables, planned = [], 0
    for phase in parts:
        table = evidence.samples(phase.index).table.copy()
        table["seq"] += planned
        planned += phase.planned
        tables.append(table)
    samples = Samples(np.concatenate(tables))
    length_s = sum(phase.duration_s for phase in parts)
    whole = replace(parts[0], name="restarts", planned=planned, duration_s=length_s)
    health = client_health(samples, around.worker_stats, cut_ns=0)
    return validity_rules.judge(
        validity_rules.Evidence(
            phase=whole,
            samples=samples,
            health=health,
            duration_s=length_s,
            worker_stats=around.worker_stats,
            shared_cores=around.shared_cores,
        )
    )
