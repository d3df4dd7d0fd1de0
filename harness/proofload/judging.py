"""From a run folder to its result. Everything is computed from what was recorded; the clock is not looked at."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from proofload.clock import NS_PER_S
from proofload.discovery import module_for
from proofload.errors import ProofloadError, RunFolderError
from proofload.procedures import Circumstances, Findings, Procedure, ended_early
from proofload.procedures._container_readings import (
    Readings,
    arms,
    asked_memory_bytes,
    counted,
    kills,
    last,
    throttled_share,
)
from proofload.procedures._death import STAYS_UP, Death, cut_off, death_of, left_open
from proofload.procedures._stream_delivery import with_delivery
from proofload.records import Check, Cost, Event, Interval, PhaseSummary, Result, Status, Validity
from proofload.scenarios import Scenario
from proofload.store.record import RunRecord
from proofload.verdict import limits
from proofload.verdict.codes import RULES
from proofload.verdict.status import overall


def judge(record: RunRecord) -> Result:
    """The result of a run folder, complete or cut short. Raises RunFolderError for one that is damaged."""
    try:
        run = record.run
        module = module_for("procedure", run["scenario"]["procedure"])
        scenario: Scenario = module.Settings.model_validate(run["scenario"])
        procedure: Procedure = module.create()
        _is_whole(record)
        findings = _found(procedure, record, scenario)
        death = death_of(record)
        if death is not None:
            findings = _cut_by(death, findings)
        checks = _with_limits(record, findings.checks, findings.phases)
        validity = _with_the_end(findings.validity, ended_early(record))
        status = _status(validity, checks)
        return Result(
            scenario=scenario.name,
            procedure=scenario.procedure,
            target=_target(run),
            status=status,
            validity=validity,
            checks=checks,
            phases=with_delivery(record, findings.phases),
            client=findings.client,
            cost=_cost(findings.cost, status),
            environment=run["environment"],
            command=run["command"],
            started_at=run["started_at"],
            duration_s=_duration_s(record.events),
            capacity=findings.capacity,
            warmup=findings.warmup,
            headline=findings.headline,
            details=findings.details,
            canary=run.get("canary"),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise RunFolderError(
            f"the run folder {record.path} cannot be judged",
            evidence=repr(exc),
            cause="its files are damaged, or were written by another version of proofload",
            remedy="use the version that run.json names under environment.proofload",
        ) from exc


def _is_whole(record: RunRecord) -> None:
    """What every procedure reads first: where that breaks, the folder is damaged."""
    for reading in Circumstances.of(record).worker_stats:
        for name in ("cpu_share", "runqueue_share", "gc_pause_ms"):
            float(reading.get(name) or 0.0)
    for phase in record.phases:
        if phase.planned < 0:
            raise ValueError(f"phase {phase.name} has no plan")


def _found(procedure: Procedure, record: RunRecord, scenario: Scenario) -> Findings:
    """A crash while judging is no verdict, whatever the measurement was worth."""
    try:
        return procedure.judge(record, scenario)
    except ProofloadError:
        raise
    except Exception as exc:  # noqa: BLE001  of any kind: it must not look like a verdict, nor lose the report
        where = traceback.extract_tb(exc.__traceback__)[-1]
        told = f"{type(exc).__name__}: {exc} (at {Path(where.filename).name}:{where.lineno})"
        crashed = Check(
            name="judged",
            status=Status.INCONCLUSIVE,
            observed=None,
            limit=None,
            unit="",
            interval=Interval(None, None),
            evidence=f"judging stopped: {told}",
            settle="`proofload report` on this folder with a version that judges it: what was recorded is kept",
        )
        said = f"No verdict: judging what was recorded stopped with an error ({type(exc).__name__})."
        return Findings((), (crashed,), (), headline=(said,))


def _with_the_end(validity: tuple[Validity, ...], reason: str) -> tuple[Validity, ...]:
    """The run as a whole ended before its plan: its phases may be sound, what it was to show is not."""
    if not reason:
        return validity
    rule = RULES["interrupted"]
    ended = Validity(rule.code, ok=False, detail=reason, remedy=rule.remedy)
    if not any(item.code == rule.code for item in validity):
        return (*validity, ended)
    return tuple(ended if item.code == rule.code else item for item in validity)


def _cost(cost: Cost | None, status: Status) -> Cost | None:
    """A rate that was not shown to hold has no cost."""
    if cost is None or status is Status.PASS or not cost.priced:
        return cost
    why = f"no cost is given for a rate that was not shown to hold ({status}); it would have been: {cost.detail}"
    return replace(cost, per_million=None, interval=Interval(None, None), priced=False, detail=why)


def _cut_by(death: Death, findings: Findings) -> Findings:
    """A target that died under load has failed, whatever it answered before.

    What else its run showed is told after its death; a limit that killed it is told first, with what had filled it.
    """
    else_failed = any(check.status is Status.FAIL for check in findings.checks)
    beside = findings.headline if else_failed else ()
    told = death.sentences()
    return replace(
        findings,
        checks=(death.check(), *left_open(findings.checks)),
        validity=cut_off(findings.validity),
        headline=(*beside, *told) if death.cause == "out-of-memory" else (*told, *beside),
    )


def _with_limits(record: RunRecord, checks: tuple[Check, ...], phases: tuple[PhaseSummary, ...]) -> tuple[Check, ...]:
    """What its container's limits did to the target, as checks and as causes of others."""
    if record.run["placement"]["runtime"] != "container":
        return checks
    readings = record.readings()
    spans = [
        (phase.start_ns, phase.start_ns + round(phase.duration_s * NS_PER_S))
        for phase in record.phases
        if phase.measured
    ]
    share = throttled_share(readings, spans)
    if share is not None:
        checks = limits.blamed_on_throttling(checks, share, mostly_late=_mostly_late(phases))
    died = any(check.name == STAYS_UP for check in checks)
    own = [
        check
        for arm in sorted({*arms(readings), *_started(record)})
        for check in _of_container(readings, arm, asked_memory_bytes(record.run, arm), died=died and arm == 0)
    ]
    return (*own, *checks)


def _started(record: RunRecord) -> set[int]:
    """Arms whose containers came up, whether or not anything was read of them."""
    return {
        event.detail["arm"] for event in record.events if event.kind == "server" and event.detail["what"] == "started"
    }


def _mostly_late(phases: tuple[PhaseSummary, ...]) -> bool:
    """Whether most of what did not end ok came late, was refused, or never came."""
    measured = [phase.outcomes for phase in phases if phase.measured]
    not_ok = sum(count for outcomes in measured for name, count in outcomes.items() if name != "ok")
    late = sum(outcomes.get(name, 0) for outcomes in measured for name in ("late", "timeout", "shed"))
    return 2 * late > not_ok


def _of_container(readings: Readings, arm: int, asked_bytes: float | None, *, died: bool) -> Iterator[Check]:
    """A target that died of it is told already."""
    told_bytes = last(readings, "memory_limit_bytes", arm)
    killed = limits.kills_check(kills(readings, arm), asked_bytes if told_bytes is None else told_bytes)
    for check in (None if died else killed, limits.restarts_check(counted(readings, "restarts", arm))):
        if check is not None:
            yield check if arm == 0 else replace(check, name=f"{check.name} of arm {arm}")


def _status(validity: Any, checks: tuple[Check, ...]) -> Status:
    if any(check.name == STAYS_UP for check in checks):
        return Status.FAIL
    return overall(validity, checks)


def _target(run: Mapping[str, Any]) -> Mapping[str, Any]:
    placement = run["placement"]
    elsewhere = placement["runtime"] in {"external", "none"}  # what runs there was not asked
    device = "" if elsewhere else placement["device"]
    checked = bool(run["payloads"]["with_expectation"])
    return {**run["target"], "device": device, "runtime": placement["runtime"], "answers_checked": checked}


def _duration_s(events: tuple[Event, ...]) -> float:
    """From the first event to the last; a phase is announced ahead of its time, and may not have come."""
    instants = [event.t_ns for event in events if event.kind != "phase"]
    return (max(instants) - min(instants)) / NS_PER_S if instants else 0.0
