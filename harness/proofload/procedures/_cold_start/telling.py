"""What a run of restarts says: the sentences that come first, and the data of its pictures and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from proofload.analysis.finite import finite
from proofload.analysis.openings import cold_prefix
from proofload.analysis.restarts import bounded_quantile, restart_quantile
from proofload.clock import NS_PER_S
from proofload.procedures import Circumstances, Evidence
from proofload.procedures._cold_start.judging import Seen
from proofload.procedures._cold_start.reading import ColdRun, Joining, Life
from proofload.procedures._cold_start.requests import requests_of
from proofload.records import Check, Status
from proofload.report.numbers import short
from proofload.verdict.causes import CAUSES

if TYPE_CHECKING:
    from proofload.procedures._cold_start.settings import Settings

INSTANTS = (
    "created", "started",
    "port_bound", "live", "ready", "first_request", "first_answer", "first_correct", "last_worker_warm", "steady",
)  # fmt: skip
"""In the order in which a sound server passes them; the first two are a container's."""
_UNCHECKED = "; whether it then answers correctly was not checked, as no payload says what is expected"
_QUANTILES = (0.5, 0.9, 0.95)


def sentences(evidence: Evidence, run: ColdRun, seen: Seen, checks: Sequence[Check]) -> tuple[str, ...]:
    name = str(evidence.run["target"]["name"])
    failed = [check for check in checks if check.status is Status.FAIL]
    causes = list(dict.fromkeys(check.cause for check in failed if check.cause))
    said = []
    for cause in causes:
        check = next(check for check in failed if check.cause == cause)
        said.append(f"{name}: {CAUSES[cause].meaning} — {_first_sentence(check.evidence)}.")
    unchecked = "" if Circumstances.of(evidence).answers_checked else _UNCHECKED
    said.append(f"{name} {_ready_told(run)}{unchecked}{_opening_told(seen)}.")
    if run.joining is not None and run.joining.joined_ns:
        said.append(_joining_told(run.joining))
    return tuple(said[:3])


def _first_sentence(text: str) -> str:
    return text.split(". ", maxsplit=1)[0].rstrip(".")


def _ready_told(run: ColdRun) -> str:
    times = [life.ready_s for life in run.lives]
    reached = [time for time in times if math.isfinite(time)]
    if not reached:
        return f"was never ready within {short(max(life.waited_s for life in run.lives))} s in {len(times)} restarts"
    middle = restart_quantile(times, 0.5)
    known = middle.low is not None and middle.high is not None
    range_told = f", {short(middle.low)}–{short(middle.high)} s" if known else ""
    late = "" if len(reached) == len(times) else f"; {len(times) - len(reached)} were given up"
    usual = short(float(np.median(reached)))
    return f"is ready {usual} s after its start (median of {len(reached)} restarts{range_told}{late})"


def _opening_told(seen: Seen) -> str:
    if seen.warm is None or not seen.worst_ms:
        return ""
    worst, warm = short(float(np.median(seen.worst_ms))), short(seen.warm.worst_ms)
    return f"; the slowest of its first answers takes {worst} ms, {warm} ms when it is warm"


def _joining_told(joining: Joining) -> str:
    told = latency_around(joining)
    bad = sum(part["bad"] for part in told.values())
    slower = ""
    before, starting = told["before"]["p99_ms"], told["starting"]["p99_ms"]
    if before is not None and starting is not None:
        slower = f"; p99 goes from {short(before)} to {short(starting)} ms while it starts"
    return f"While a second instance joins, {bad:,} requests fail{slower}."


def details_of(run: ColdRun, seen: Seen, scenario: Settings) -> dict[str, Any]:
    lives = [_life(life, seen) for life in run.lives]
    return {
        "lives": lives,
        "rested": None if run.rested is None else _life(run.rested, seen),
        "opening_s": scenario.opening_s,
        "ready_limit_s": scenario.ready_limit_s,
        "slow_ms": seen.slow_ms,
        "warm": None
        if seen.warm is None
        else {"worst_ms": seen.warm.worst_ms, "median_ms": seen.warm.median_ms, "windows": len(seen.warm.windows)},
        "bounded_quantile": bounded_quantile(len(lives), scenario.restart_confidence),
        "quantiles": [
            _quantiles(condition, [life for life in lives if condition in {"all", life["condition"]}], scenario)
            for condition in _conditions(run)
        ],
        "page_cache": {str(number): dict(told) for number, told in run.caches.items()},
        "joining": None
        if run.joining is None or not run.joining.joined_ns
        else {
            "started_s": (run.joining.joined_ns - run.joining.starting_ns) / NS_PER_S,
            **latency_around(run.joining),
        },
        "join_impossible": run.join_impossible,
        "unseen_s": _unseen_s(run),
    }


def _conditions(run: ColdRun) -> list[str]:
    own = sorted({life.condition for life in run.lives if life.page_cache != "as found"})
    return ["all", *own] if len(own) > 1 else ["all"]


def _unseen_s(run: ColdRun) -> float | None:
    """Between ready and the first request: a false readiness that ends sooner is not seen."""
    gaps = [gap for life in run.lives if (gap := life.since_ready_s("first_request")) is not None]
    return float(np.median(gaps)) if gaps else None


def _life(life: Life, seen: Seen) -> dict[str, Any]:
    found = seen.openings.get(life.number)
    window = None if found is None else found.window
    instants = {name: life.since_s("spawn", name) for name in INSTANTS}
    if seen.slow_ms is not None and len(life.requests):
        instants |= _warm_instants(life, seen.slow_ms)
    return {
        "number": life.number,
        "condition": life.condition,
        "outcome": life.outcome,
        "rested_s": life.rested_s,
        "ready_s": finite(life.ready_s),
        "waited_s": life.waited_s,
        "instants_s": instants,
        "opening": None
        if window is None
        else {
            "n": window.n,
            "bad": window.bad,
            "worst_ms": window.worst_ms or None,
            "median_ms": window.median_ms or None,
        },
        "failing": life.number in seen.failing,
        "slow": life.number in seen.slow,
        "taken": [
            {"pid": one.pid, "memory_bytes": one.memory_bytes, "read_bytes": one.read_bytes} for one in life.growth
        ],
    }


def _warm_instants(life: Life, slow_ms: float) -> dict[str, float | None]:
    """When the last cold answer was given, and from when on cold answers are no longer dense."""
    requests, spawn_ns = life.requests, life.instants_ns["spawn"]
    first = life.since_s("spawn", "first_correct")
    with np.errstate(invalid="ignore"):
        cold = requests.latency_ms > slow_ms
    last_ns = int(requests.done_ns[cold].max()) if cold.any() else None
    last = first if last_ns is None else (last_ns - spawn_ns) / NS_PER_S
    prefix = cold_prefix(requests, slow_ms)
    if prefix >= len(requests):
        return {"last_worker_warm": last, "steady": None}
    settled = first
    if prefix and first is not None:
        settled = max(first, (int(requests.done_ns[:prefix].max()) - spawn_ns) / NS_PER_S)
    return {"last_worker_warm": last, "steady": settled}


def _quantiles(condition: str, lives: Sequence[Mapping[str, Any]], scenario: Settings) -> dict[str, Any]:
    ready = [math.inf if life["ready_s"] is None else life["ready_s"] for life in lives]
    correct = [math.inf if (at := life["instants_s"]["first_correct"]) is None else at for life in lives]
    steady = [math.inf if (at := life["instants_s"]["steady"]) is None else at for life in lives]
    worst = [life["opening"]["worst_ms"] for life in lives if life["opening"] and life["opening"]["worst_ms"]]
    rows = {"ready_s": ready, "first_correct_s": correct, "steady_s": steady, "opening_worst_ms": worst}
    return {
        "condition": condition,
        "restarts": len(lives),
        **{name: [_quantile(values, q, scenario) for q in _QUANTILES] for name, values in rows.items()},
    }


def _quantile(values: Sequence[float], q: float, scenario: Settings) -> dict[str, Any]:
    found = restart_quantile(values, q, scenario.restart_confidence)
    return {"q": q, "value": found.value, "low": found.low, "high": found.high, "needs": found.needs}


def latency_around(joining: Joining) -> dict[str, dict[str, Any]]:
    """Requests before the second instance was started, while it came up, and once it took its share."""
    requests = requests_of(joining.samples)
    end_ns = int(requests.due_ns[-1]) + 1 if len(requests) else 0
    spans = {
        "before": (0, joining.starting_ns),
        "starting": (joining.starting_ns, joining.joined_ns),
        "after": (joining.joined_ns, end_ns),
    }
    told = {}
    for name, (start, end) in spans.items():
        part = requests.between(start, end)
        timed = part.latency_ms[np.isfinite(part.latency_ms)]
        middle, tail = np.quantile(timed, (0.5, 0.99)) if len(timed) else (None, None)
        told[name] = {
            "n": len(part),
            "bad": int(np.count_nonzero(part.bad)),
            "p50_ms": None if middle is None else float(middle),
            "p99_ms": None if tail is None else float(tail),
        }
    return told
