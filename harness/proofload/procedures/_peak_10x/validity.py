"""May an overload be believed? The closed list of validity.py, with one rule read over more than one phase.

Steps of a ramp are short, and the p99 of thirty send lags is the largest of them. So lags (and what the engine
process says of itself each second) are judged over all steps up
to 1× together, against the latency there; and over the steps beyond together, against the deadline: what is
read off those is whether answers came in time, and a refusal's speed, not a percentile near the lag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from proofload.analysis.health import client_health
from proofload.analysis.lag import DEEP, FREE_MS, SHARE, breaches, plain_percentiles
from proofload.analysis.summary import error_counts, latencies, send_lags
from proofload.procedures import Circumstances
from proofload.records import SAMPLE_DTYPE, ClientHealth, Phase, Samples, Validity
from proofload.report.numbers import short
from proofload.verdict import validity as rules
from proofload.verdict.codes import RULES, STARVED

Judged = tuple[Phase, Samples, bool]
"""A phase, its samples, and whether it lies beyond the load that the target is to hold."""


def peak_validity(
    steps: Sequence[Judged], around: Circumstances, *, deadline_ms: float
) -> tuple[tuple[Validity, ...], ClientHealth | None]:
    """The list for the whole run, and the client's health over its steps.

    A short step of a slow target's ramp may have no request due at all: nothing can be wrong with it, nor seen in it.
    """
    steps = [step for step in steps if step[0].planned or len(step[1])]
    if not steps:
        rule = RULES["no-data"]
        detail = "no step of the ramp ran, or none had a request due"
        return (Validity(rule.code, ok=False, detail=detail, remedy=rule.remedy),), None
    lags = {
        False: _within(_table([samples for _, samples, hard in steps if not hard]), None),
        True: _within(_table([samples for _, samples, hard in steps if hard]), deadline_ms),
    }
    health = client_health(_table([samples for _, samples, _ in steps]), around.worker_stats)
    by_phase = {phase.name: _items(phase, samples, around, lags[hard], health) for phase, samples, hard in steps}
    return rules.merged(by_phase), health


def _items(
    phase: Phase, samples: Samples, around: Circumstances, lag: Validity, health: ClientHealth
) -> tuple[Validity, ...]:
    errors = {kind.kind: kind.count for kind in error_counts(samples, around.names)}
    items = rules.judge(
        rules.Evidence(
            phase=phase,
            samples=samples,
            health=replace(health, loop_stalls=client_health(samples, around.worker_stats).loop_stalls),
            worker_stats=around.worker_stats,
            client_errors=errors,
            shared_cores=around.shared_cores,
        )
    )
    forgiven = {"send-lag"} if lag.ok else set()
    if _harmless(health, lag):
        forgiven.add("cpu-starved")
    bad = {item.code for item in items if not item.ok}
    if not (bad & {"send-lag", "cpu-starved", "loop-stall"}) - forgiven:
        forgiven.add("shared-core")  # which says no more than that one of these is bad
    judged = []
    for item in items:
        if item.code == "send-lag":
            judged.append(lag)
        else:
            judged.append(replace(item, ok=True, remedy="") if item.code in forgiven and not item.ok else item)
    return tuple(judged)


def _harmless(health: ClientHealth, lag: Validity) -> bool:
    """Waiting for a core harms by making the client late. Where it is on time all the same, by a tenth of what
    is measured, only a client that waits as much as STARVED is not believed."""
    return lag.ok and health.runqueue_share is not None and health.runqueue_share < STARVED


def _within(samples: Samples, deadline_ms: float | None) -> Validity:
    rule = RULES["send-lag"]
    lag = plain_percentiles(send_lags(samples))
    if not lag:
        return Validity(rule.code, ok=True, detail="nothing was dispatched")
    told = f"send lag p50 {short(lag['p50'])} ms, p99 {short(lag['p99'])} ms"
    if deadline_ms is not None:
        permitted = max(FREE_MS, SHARE * deadline_ms)
        ok = lag["p99"] <= permitted
        detail = f"{told}; beyond 1× {short(permitted)} ms are permitted, a tenth of the deadline"
        return Validity(rule.code, ok=ok, detail=detail, remedy="" if ok else rule.remedy)
    took, _ = latencies(samples)
    spoiled = {name for name in breaches(lag, plain_percentiles(took)) if name not in DEEP}
    return Validity(rule.code, ok=not spoiled, detail=told, remedy=rule.remedy if spoiled else "")


def _table(parts: Sequence[Samples]) -> Samples:
    tables = [part.table for part in parts]
    return Samples(np.concatenate(tables) if tables else np.zeros(0, dtype=SAMPLE_DTYPE))
