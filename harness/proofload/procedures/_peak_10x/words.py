"""A peak-10x run in plain data for result.json, and in sentences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from proofload.analysis.summary import latencies, outcome_counts, with_outcome
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.procedures._peak_10x.plan import Settings
from proofload.procedures._peak_10x.reading import Reading, Step, kept_up, latency_ms
from proofload.procedures._peak_10x.shown import Shown
from proofload.records import Check, Outcome, Samples, Status
from proofload.report.numbers import short
from proofload.verdict.causes import CAUSES


def details(reading: Reading, shown: Shown, settings: Settings) -> dict[str, Any]:
    """Plain JSON data: the curve, the cliff, refusals and accepted work at the peak, queue, recovery."""
    peak, back = reading.peak, reading.back
    return {
        "base_rps": reading.base_rps,
        "capacity_rps": reading.capacity_rps,
        "capacity_at_least": reading.capacity_at_least,
        "peak_multiple": settings.peak_multiple,
        "timeout_s": settings.timeout_s,
        "deadline_s": settings.deadline_s,
        "steps": [_step(reading, step) for step in reading.steps],
        "cliff": {
            "limit": settings.goodput_ratio,
            "ratios": {
                name: None if ratio is None else {"value": ratio.value, "low": ratio.low, "high": _finite(ratio.high)}
                for name, ratio in shown.ratios.items()
            },
        },
        "refusals": None if peak is None else _spread(latency_ms(_ended(peak.counted, Outcome.SHED))),
        "accepted": None if peak is None else _accepted(peak.counted, settings),
        "queue": None if peak is None else _queue(reading, peak),
        "recovery": {
            "after_s": None if shown.recovery is None else shown.recovery.after_s,
            "watched_s": None if shown.recovery is None else shown.recovery.watched_s,
            "within_s": settings.recover_within_s,
            "slow_ms": None if shown.baseline is None else shown.baseline.limit_ms,
            "metastable": bool(
                back is not None and shown.recovery is not None and shown.recovery.told
                and shown.recovery.after_s is None and shown.baseline is not None and shown.baseline.healthy
            ),
        },
        "lone_ms": shown.lone_ms,
        "others_share": shown.others_share,
        "unseen": dict(shown.unseen),
        "attempts_at_peak": None if peak is None else _attempts(peak.counted),
        "causes": list(dict.fromkeys(check.cause for check in shown.checks if check.cause)),
    }  # fmt: skip


def headline(reading: Reading, shown: Shown, settings: Settings, who: str, status: Status) -> tuple[str, ...]:
    """The answer; only for a run that is valid and came to its end."""
    times = f"{settings.peak_multiple:g} times"
    base = f"its base load ({short(reading.base_rps)} requests/s)" if reading.base_rps else "its base load"
    failed = [check for check in shown.checks if check.status is Status.FAIL]
    if failed:
        return _failed(failed, who if reading.served_nothing else f"At {times} {base} {who}")
    goodput = next(check for check in shown.checks if check.name == "goodput_at_peak")
    said = f"At {times} {base} {who} completes {_percent(goodput.observed)} of what it completes at saturation"
    if goodput.interval.high is not None:
        said += f" ({_percent(goodput.interval.low)} to {_percent(goodput.interval.high)})"
    refusals = next((check for check in shown.checks if check.name == "refusal_p95"), None)
    if refusals is not None and refusals.observed is not None:
        said += f", refuses the rest within {short(refusals.observed)} ms (p95)"
    if shown.recovery is not None and shown.recovery.after_s is not None:
        said += f", and is itself again {shown.recovery.after_s:.1f} s after the peak"
    if status is Status.PASS:
        return (f"{said}.", *_not_looked_at(shown))
    open_checks = [check for check in shown.checks if check.status is Status.INCONCLUSIVE]
    names = ", ".join(check.name.replace("_", " ") for check in open_checks)
    settle = "; ".join(dict.fromkeys(check.settle for check in open_checks if check.settle))
    return (f"Inconclusive: this run cannot tell {names}." + (f" What would settle it: {settle}." if settle else ""),
            f"{said}.")  # fmt: skip


def _not_looked_at(shown: Shown) -> tuple[str, ...]:
    told = "; ".join(f"{name.replace('_', ' ')} ({why})" for name, why in shown.unseen.items())
    return (f"Not looked at: {told}.",) if told else ()


def _failed(failed: list[Check], who: str) -> tuple[str, ...]:
    names = {check.name: check for check in failed}
    cause = next((check.cause for check in failed if check.cause), "")
    because = f": {CAUSES[cause].meaning}" if cause else ""
    goodput, back = names.get("goodput_at_peak"), names.get("recovery")
    if goodput is not None:
        said = f"{who}'s goodput falls to {_percent(goodput.observed)}"
        if goodput.interval.high is not None and goodput.observed:
            said += f" ({_percent(goodput.interval.low)} to {_percent(goodput.interval.high)})"
        if back is not None and back.observed is None:
            said += " and does not come back"
        elif back is not None:
            said += f" and comes back only {back.observed:.1f} s after the peak"
        first = f"{said}{because}."
    elif back is not None:
        when = "does not recover" if back.observed is None else f"recovers only {back.observed:.1f} s after the peak"
        first = f"{who} {when}{because}."
    elif "base_load" in names:
        first = f"{who} serves nothing in time, however little it is asked{because}."
    elif "excess_refused" in names:
        share = _percent(names["excess_refused"].observed)
        first = f"{who} refuses only {share} of the excess in time{because}."
    else:
        first = f"{who} breaks {', '.join(name.replace('_', ' ') for name in names)}{because}."
    others = [CAUSES[check.cause] for check in failed if check.cause and check.cause != cause]
    more = tuple(dict.fromkeys(f"Also: {other.meaning}." for other in others))
    remedy = (f"Next: {CAUSES[cause].remedy}.",) if cause else ()
    return (first, *more, *remedy)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _percent(value: float | None) -> str:
    return "an unknown part" if value is None else f"{value:.0%}".replace("%", " %")


def _step(reading: Reading, step: Step) -> dict[str, Any]:
    counted = step.counted if len(step.counted) else step.samples
    seconds = (step.end_ns - step.begin_ns) / NS_PER_S
    done = np.searchsorted(reading.done_ok_ns, [step.begin_ns, step.end_ns])
    took, _ = latencies(counted)
    return {
        "name": step.phase.name,
        "multiple": step.multiple,
        "peak": step.peak,
        "back": step.back,
        "offered_rps": step.offered_rps,
        "goodput_rps": float(done[1] - done[0]) / seconds if seconds > 0 else 0.0,
        "kept_up": kept_up(step),
        "outcomes": outcome_counts(counted),
        **{f"p{q}_ms": _quantile(took / NS_PER_MS, q) for q in (50, 90, 99)},
    }


def _accepted(counted: Samples, settings: Settings) -> dict[str, Any]:
    took, gave_up = latencies(counted, timeout_s=settings.timeout_s)
    late = int(np.count_nonzero(with_outcome(counted, Outcome.LATE)))
    return {**_spread(took / NS_PER_MS), "gave_up": int(np.count_nonzero(gave_up)), "answered_late": late}


def _queue(reading: Reading, peak: Step) -> dict[str, Any]:
    """Requests on their way (queued or computed) in the course of the hold, at tenths of it."""
    from proofload.analysis.company import in_flight

    table = reading.everything.table
    there = table["done_ns"] > 0
    at = np.linspace(peak.begin_ns, peak.end_ns, 11).astype(np.int64)
    counts = in_flight(at, table["intended_ns"][there], table["done_ns"][there])
    return {"in_flight": [int(count) for count in counts], "most": int(counts.max())}


def _attempts(counted: Samples) -> float | None:
    attempts = counted.table["attempts"]
    attempts = attempts[attempts > 0]
    return float(attempts.mean()) if len(attempts) else None


def _ended(samples: Samples, outcome: Outcome) -> Samples:
    return samples.where(with_outcome(samples, outcome))


def _spread(took_ms: Any) -> dict[str, Any]:
    return {"n": len(took_ms), **{f"p{q}_ms": _quantile(took_ms, q) for q in (50, 95, 99)}}


def _quantile(took_ms: Any, q: int) -> float | None:
    n = len(took_ms)
    return float(np.sort(took_ms)[max(0, -(-n * q // 100) - 1)]) if n else None
