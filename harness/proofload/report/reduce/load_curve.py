"""Latency against offered load: the steps of a capacity search, or the one rate of a load run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proofload.records import Interval, PhaseSummary, Result, Status

UNKNOWN = Interval(None, None)


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """One offered rate that was held for a while. Percentiles in ms, None where the sample was too small."""

    rate_rps: float
    goodput_rps: float | None
    ok_share: float | None
    p50_ms: float | None
    p99_ms: float | None
    p99_interval: Interval
    p99_censored: bool
    n: int | None
    shed_share: float | None
    error_share: float | None
    status: Status | None
    purpose: str


def load_curve(result: Result) -> tuple[LoadPoint, ...]:
    """By rising rate; at the same rate, in the order they were run."""
    phases = list(result.phases)
    points = []
    steps = result.capacity.steps if result.capacity else ()
    in_step = len(steps) == len(phases)  # one phase per step, in the same order
    for index, step in enumerate(steps):
        match = phases[index] if in_step else _phase_of(step, phases)
        if match is not None and not in_step:
            phases.remove(match)
        points.append(_of_step(step, match))
    if not points:
        points = [_of_phase(phase) for phase in result.phases if phase.measured and phase.offered_rps > 0]
    return tuple(sorted(points, key=lambda point: point.rate_rps))


def _phase_of(step: Mapping[str, Any], phases: list[PhaseSummary]) -> PhaseSummary | None:
    """The phase of a step: by name when the step tells it, else the one whose offered rate is within 2 %."""
    name = step.get("phase") or step.get("name")
    for phase in phases:
        if name is not None and phase.name == name:
            return phase
    rate = float(step["rate_rps"])
    near = [phase for phase in phases if rate and abs(phase.offered_rps - rate) <= 0.02 * rate]
    return near[0] if len(near) == 1 else None


def _of_step(step: Mapping[str, Any], phase: PhaseSummary | None) -> LoadPoint:
    known = _of_phase(phase) if phase is not None else None
    return LoadPoint(
        rate_rps=float(step["rate_rps"]),
        goodput_rps=step.get("goodput_rps", known.goodput_rps if known else None),
        ok_share=step.get("ok_share", known.ok_share if known else None),
        p50_ms=step.get("p50_ms", known.p50_ms if known else None),
        p99_ms=step.get("p99_ms", known.p99_ms if known else None),
        p99_interval=known.p99_interval if known else UNKNOWN,
        p99_censored=known.p99_censored if known else False,
        n=known.n if known else None,
        shed_share=known.shed_share if known else None,
        error_share=known.error_share if known else None,
        status=_status(step.get("status")),
        purpose=str(step.get("purpose", "search")),
    )


def _of_phase(phase: PhaseSummary) -> LoadPoint:
    p50, p99 = phase.latency.quantiles.get("p50"), phase.latency.quantiles.get("p99")
    return LoadPoint(
        rate_rps=phase.offered_rps,
        goodput_rps=phase.goodput_rps,
        ok_share=share_of(phase, "ok"),
        p50_ms=p50.value if p50 else None,
        p99_ms=p99.value if p99 else None,
        p99_interval=p99.interval if p99 else UNKNOWN,
        p99_censored=p99.censored if p99 else False,
        n=phase.latency.n,
        shed_share=share_of(phase, "shed"),
        error_share=share_of(phase, "error"),
        status=None,
        purpose="measured",
    )


def share_of(phase: PhaseSummary, *outcomes: str) -> float | None:
    """The share of a phase's counted requests that ended so; None when none were counted."""
    counted = sum(phase.outcomes.values())
    return sum(phase.outcomes.get(name, 0) for name in outcomes) / counted if counted else None


def _status(value: Any) -> Status | None:
    try:
        return Status(value)
    except ValueError:
        return None
