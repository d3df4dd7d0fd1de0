"""From a soak's run folder to its findings, holding the samples of one window at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from proofload.analysis.ageing import Cell, cells_of
from proofload.analysis.trend import SETTLING
from proofload.clock import NS_PER_S
from proofload.procedures import Circumstances, Evidence, Findings, ended_early
from proofload.procedures._container_readings import asked_memory_bytes, killed_at_its_limit, memory_kill_ns
from proofload.procedures._measured_phase import MeasuredPhase, measure
from proofload.procedures._soak import allotment
from proofload.procedures._soak.checks import WRITTEN, creep_check, failures_check, growth_check, unseen
from proofload.procedures._soak.creep import creep_of
from proofload.procedures._soak.exhaustion import Reached, foretold
from proofload.procedures._soak.growth import Course, Judged, Span, judged
from proofload.procedures._soak.processes import as_processes
from proofload.procedures._soak.signals import MIB, Readings, Signal, highest, latest, signals
from proofload.procedures._soak.telling import details, headline
from proofload.procedures._soak.writing import written_check
from proofload.records import Check, Phase, Status, Validity
from proofload.store.record import Series
from proofload.verdict import validity as validity_rules
from proofload.verdict.codes import LATE_CLIENT
from proofload.verdict.soak import Rule
from proofload.verdict.soak_latency import Allowance, Creep, judge_failures

if TYPE_CHECKING:
    from proofload.procedures._soak.settings import Settings

EXPECTED = ("memory", "fds", "threads", "sockets")
FEWEST_CELLS = 64
_LEAST_HEADROOM = 512 * MIB
_RAN_OUT = ("Too many open files", "EMFILE", "No file descriptors available")


@dataclass(frozen=True, slots=True)
class Aged:
    """What the samples of all windows amount to."""

    windows: Sequence[MeasuredPhase]
    others: Sequence[MeasuredPhase]
    cells: list[Cell]


def conclude(evidence: Evidence, settings: Settings, *, planned_windows: int) -> Findings:
    """Nothing here passes for lack of data."""
    aged = _aged(evidence, settings, planned_windows)
    if not aged.windows:
        return Findings.nothing(evidence)
    phases = [phase for phase in evidence.phases if phase.measured]
    start_ns = min(phase.start_ns for phase in evidence.phases)
    main = _span(phases, start_ns)
    others = [_span([phase], start_ns) for phase in evidence.phases if not phase.measured]
    readings = evidence.readings()
    killed_ns = memory_kill_ns(evidence.events, readings)
    killed_s = None if killed_ns is None else min(main.end_s, (killed_ns - start_ns) / NS_PER_S)
    if killed_s is not None and killed_s > main.begin_s:  # what came after it was another process
        main = replace(main, end_s=killed_s)
    course = Course(start_ns, main, (*others, *_idle(evidence, start_ns)))
    found = _resources(evidence, readings, course, settings, killed_s)
    ran_out = _ran_out(evidence)
    creeps = {one.name: _creep(aged.cells, one, settings) for one in _allowances(settings)} if aged.cells else {}
    checks = [growth_check(one, found, run_s=main.end_s - main.begin_s) for one in found.values()]
    why = "no process is known" if not _has_process(readings) else "the probe could not read it"
    checks += [unseen(name, why) for name in EXPECTED if name not in found]
    checks = as_processes([_with_exhaustion(check, ran_out) for check in checks], readings, course)
    wrote = written_check(readings, course, found.get("disk"), _disk_per_s(settings), evidence.path)
    checks += [] if wrote is None else [wrote]
    checks += [creep_check(name, creep) for name, creep in creeps.items()]
    exhausted = next((check.cause for check in checks if check.name == "fds-growth" and check.cause), "")
    checks.append(_failures(aged.cells, settings, exhausted))
    slo = _slo(aged.windows)
    validity = validity_rules.merged({one.summary.name: one.validity for one in aged.windows})
    resources = [one.status for one in found.values()] + ([] if wrote is None else [wrote.status])
    if Status.FAIL in resources and any(not item.ok for item in validity):
        validity = _only_late(validity)
        checks, slo = [_left_open(check) for check in checks], tuple(_left_open(check) for check in slo)
    said: tuple[str, ...] = ()
    if not ended_early(evidence) and all(item.ok for item in validity):
        said = headline(evidence.run, (*checks, *slo), found, creeps, main)
    return Findings(
        phases=tuple(one.summary for one in (*aged.windows, *aged.others)),
        checks=(*checks, *slo),
        validity=validity,
        client=max((one.health for one in aged.windows), key=lambda health: health.cpu_share or 0.0),
        warmup={"excluded": sum(one.summary.excluded for one in aged.windows)},
        headline=said,
        details=details(found, creeps, aged.cells, course),
    )


def _only_late(validity: tuple[Validity, ...]) -> tuple[Validity, ...]:
    """What a target holds is read from outside: a late client leaves all else open (`_left_open`), not that."""
    return tuple(
        replace(item, ok=True, remedy="", detail=f"{item.detail}; so all but what it holds is left open")
        if not item.ok and item.code in LATE_CLIENT
        else item
        for item in validity
    )


def _left_open(check: Check) -> Check:
    """Latencies, the SLO and failures depend on when the client sent; what the target holds does not."""
    held = check.name == WRITTEN or check.name.removesuffix("-growth") in allotment.RESOURCES
    if held or check.status is Status.INCONCLUSIVE:
        return check
    return replace(check, status=Status.INCONCLUSIVE, cause="", settle="a client that sends on time: see validity")


def _aged(evidence: Evidence, settings: Settings, planned: int) -> Aged:
    around = Circumstances.of(evidence)
    count = max(4, -(-FEWEST_CELLS // max(1, planned)))
    windows: list[MeasuredPhase] = []
    others: list[MeasuredPhase] = []
    cells: list[Cell] = []
    for phase in evidence.phases:
        samples = evidence.samples(phase.index)
        first = phase.measured and not windows and settings.warmup_s == "auto"
        shown = measure(phase, samples, settings, around, find_warmup=first, alpha_share=allotment.SLO / planned)
        (windows if phase.measured else others).append(shown)
        if phase.measured and len(samples):
            end_ns = phase.start_ns + max(1, round(phase.duration_s * NS_PER_S))
            cells += cells_of(samples, phase.start_ns, end_ns, count, timeout_s=settings.timeout_s)
        del samples  # before the next window is read
    return Aged(windows, others, cells)


def _span(phases: Sequence[Phase], start_ns: int) -> Span:
    begin, last = phases[0], phases[-1]
    end_s = (last.start_ns - start_ns) / NS_PER_S + last.duration_s
    return Span((begin.start_ns - start_ns) / NS_PER_S, end_s, begin.rate_rps)


def _idle(evidence: Evidence, start_ns: int) -> Iterator[Span]:
    instants = {str(event.detail.get("what")): event.t_ns for event in evidence.events if event.kind == "soak-idle"}
    if {"begins", "ends"} <= instants.keys():
        yield Span((instants["begins"] - start_ns) / NS_PER_S, (instants["ends"] - start_ns) / NS_PER_S, 0.0)


def _has_process(readings: Mapping[tuple[int, str, str], Series]) -> bool:
    return any(arm == 0 and source in {"process", "container"} for arm, source, _ in readings)


def _resources(
    evidence: Evidence, readings: Readings, course: Course, settings: Settings, killed_s: float | None
) -> dict[str, Judged]:
    found: dict[str, Judged] = {}
    main = course.main
    for name, signal in signals(evidence, readings, course.start_ns).items():
        limit, told, share = _limit(name, signal, main, evidence.run, readings)
        rule = _rule(signal, main, limit, settings)
        reached = None
        if name == "memory" and killed_s is not None and limit is not None:
            lived_on = not any(killed_at_its_limit(event) for event in evidence.events)
            reached = Reached(killed_s, foretold(signal, main.begin_s, killed_s, rule, limit), lived_on)
        if name in {"memory", "gpu-memory"} and limit is None:
            limit, told = _free_memory(signal, main), "the room that a target without a limit is given"
        found[name] = judged(
            signal, main, course.others, rule, limit=limit, limit_told=told, of_limit=share, reached=reached
        )
    return found


def _limit(
    name: str, signal: Signal, main: Span, run: Mapping[str, Any], readings: Readings
) -> tuple[float | None, str, float | None]:
    """(limit, in words, the largest share of it that was seen)."""
    inside = signal.between(main.begin_s, main.end_s).values
    most = float(inside.max()) if len(inside) else 0.0
    if name == "memory":
        named = asked_memory_bytes(run)
        group = latest(readings, "process", "memory_limit_bytes")
        limit = latest(readings, "container", "memory_limit_bytes") or (named or group)
        if limit is not None:
            return limit, f"its memory limit of {limit / MIB:,.0f} MiB", most / limit
    if name == "fds":
        share = highest(readings, "process", "fds_of_limit")
        own = latest(readings, "process", "fds_of_limit")
        last = latest(readings, "process", "fds")
        if share is not None and own and last is not None:
            return last / own, "its limit of open files", share
    if name == "gpu-memory":
        total = latest(readings, "gpu", "memory_total_bytes")
        if total:
            return total, "the memory of the accelerator", most / total
    return None, "", None


def _rule(signal: Signal, main: Span, limit: float | None, settings: Settings) -> Rule:
    window_s = (main.end_s - main.begin_s) * (1.0 - SETTLING)
    alpha_fail = allotment.each(settings.alpha_fail)
    if signal.unit != "bytes":
        margin = max(settings.count_growth, settings.count_growth_per_1000 * main.rate_rps * window_s / 1000.0)
        return Rule(margin, 0.0, alpha_fail, settings.alpha_pass)
    if signal.name == "disk":
        margin = _disk_per_s(settings) * window_s
    else:
        headroom = (limit or _free_memory(signal, main)) - _steady(signal, main)
        margin = settings.headroom_share * max(headroom, 0.0) * window_s / (settings.horizon_h * 3600.0)
    return Rule(margin, settings.granule_mib * MIB, alpha_fail, settings.alpha_pass)


def _disk_per_s(settings: Settings) -> float:
    """How fast a disk may fill."""
    return settings.headroom_share * settings.disk_headroom_gib * 1024 * MIB / (settings.horizon_h * 3600.0)


def _steady(signal: Signal, main: Span) -> float:
    """What it holds once it has settled, before it can have grown much."""
    early = signal.between(main.settled_s, main.settled_s + 0.1 * (main.end_s - main.begin_s)).values
    return float(np.median(early)) if len(early) else 0.0


def _free_memory(signal: Signal, main: Span) -> float:
    """Without a limit: as much again as a half GiB, or twice what it holds, on top of that."""
    steady = _steady(signal, main)
    return steady + max(_LEAST_HEADROOM, 2.0 * steady)


def _ran_out(evidence: Evidence) -> str:
    """What an answer said of descriptors that ran out, or empty."""
    for event in evidence.events:
        if event.kind == "example":
            text = f"{event.detail.get('detail', '')} {event.detail.get('body', '')}"
            if any(sign in text for sign in _RAN_OUT):
                return next(sign for sign in _RAN_OUT if sign in text)
    return ""


def _with_exhaustion(check: Check, ran_out: str) -> Check:
    """The target's own word that it has no descriptor left is proof, whatever the trend."""
    if check.name != "fds-growth" or not ran_out or check.status is Status.FAIL:
        return check
    evidence = f"an answer said {ran_out!r}; {check.evidence}"
    return replace(check, status=Status.FAIL, evidence=evidence, cause="fd-leak", settle="")


def _failures(cells: list[Cell], settings: Settings, cause: str) -> Check:
    late = cells[round(SETTLING * len(cells)) :]
    third = len(late) // 3
    found = judge_failures(
        [(cell.bad, cell.due) for cell in late[:third]], [(cell.bad, cell.due) for cell in late[-third:]],
        settings.failures_growth, alpha_fail=allotment.each(settings.alpha_fail), alpha_pass=settings.alpha_pass,
    )  # fmt: skip
    return failures_check(found, settings.failures_growth, cause)


def _allowances(settings: Settings) -> tuple[Allowance, ...]:
    return (
        Allowance("p50", 0.5, settings.creep_p50_share, settings.creep_p50_ms),
        Allowance("p99", 0.99, settings.creep_p99_share, settings.creep_p99_ms),
    )


def _creep(cells: list[Cell], allowance: Allowance, settings: Settings) -> Creep:
    alpha_fail = allotment.each(settings.alpha_fail)
    return creep_of(cells, allowance, alpha_fail=alpha_fail, alpha_pass=settings.alpha_pass)


def _slo(windows: Sequence[MeasuredPhase]) -> tuple[Check, ...]:
    """Each limit over all windows: broken where any broke it, held where all held it; the worst stands for all."""
    if len(windows) == 1:
        return windows[0].checks
    merged_checks = []
    for checks in zip(*(one.checks for one in windows), strict=True):
        order = {Status.FAIL: 0, Status.INVALID: 1, Status.INCONCLUSIVE: 2, Status.PASS: 3}
        sign = 1.0 if checks[0].name == "ok_share" else -1.0
        ranked = sorted(
            range(len(checks)), key=lambda at: (order[checks[at].status], sign * (checks[at].observed or 0.0))
        )
        worst = checks[ranked[0]]
        alike = sum(check.status is worst.status for check in checks)
        told = f"{windows[ranked[0]].summary.name}, the worst of {len(checks)} windows ({alike} of them alike): "
        merged_checks.append(replace(worst, evidence=told + worst.evidence))
    return tuple(merged_checks)
