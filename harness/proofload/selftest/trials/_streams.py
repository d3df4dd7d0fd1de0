"""Simulated histories of a stream whose worker is left alone, stopped, and killed: samples and accounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.delivery import Account, deliveries
from proofload.clock import NS_PER_S
from proofload.records import SAMPLE_DTYPE, Outcome
from proofload.verdict.delivery import Stretch

KEYS = 8
RATE = 180.0
CALM_S, RESTART_S, KILL_S = 5.0, 7.0, 11.0
"""In all about 4,000 messages: what a quick run sends."""
TIMEOUT_S = 8.0
REACH_S = {"": 0.0, "restart": 1.0, "kill": 5.0}
_BEFORE_S = 3.0
_BEGIN_S = 1000.0


@dataclass(frozen=True, slots=True)
class Worker:
    """How a worker behaves. Shares are of all messages; seconds reach back from a handover."""

    lost_share: float = 0.0
    lost_at_kill: float = 0.0
    """Messages in hand that a kill takes with it, on average (Poisson)."""
    repeats_s: dict[str, float] = field(default_factory=dict)
    """By what was done: what was answered so long before is answered again."""
    surplus_share: float = 0.0
    """Answered twice though nothing happens."""
    overtaken_share: float = 0.0
    stall_s: float = 0.0
    """It stands still once, undisturbed, for so long; what waits longer than the client does is answered late."""
    bursty: bool = False
    """Messages come in clumps, and how long an answer takes drifts."""


def stretches(worker: Worker, rng: np.random.Generator) -> list[Stretch]:
    """One history: left alone, stopped and started anew, killed twice and started anew."""
    plan = (("steady", "", CALM_S), ("restart", "restart", RESTART_S), ("kill", "kill", KILL_S))
    told: list[Account] = []
    phases, marks = [], []
    at_s, first = _BEGIN_S, 0
    for index, (name, what, length_s) in enumerate(plan):
        table, accounts, handover_ns = _phase(worker, what, (at_s, length_s), first, rng)
        phases.append((index, round(at_s * NS_PER_S), table))
        told += accounts
        marks.append((name, what, handover_ns))
        first += len(table)
        at_s += length_s + 30.0
    counted = deliveries(phases, told, keys=KEYS)
    return [
        Stretch(name, one, what, handover_ns, REACH_S[what], 1 if what else None)
        for (name, what, handover_ns), one in zip(marks, counted, strict=True)
    ]


def _phase(
    worker: Worker, what: str, span_s: tuple[float, float], first: int, rng: np.random.Generator
) -> tuple[NDArray[Any], list[Account], int]:
    """`span_s`: begin and length. Samples, accounts, and when the worker was stopped or killed (0: it was not)."""
    at_s, length_s = span_s
    n = rng.poisson(RATE * length_s)
    sent = np.sort(rng.random(n)) * length_s
    if worker.bursty:
        sent = np.sort(np.clip(sent + rng.choice(np.linspace(0.0, length_s, 12), n) * 0.2, 0.0, length_s))
    took = 0.004 + rng.exponential(0.002, n)
    if worker.bursty:
        took *= np.exp(np.cumsum(rng.normal(0.0, 0.05, n)))
    stop = _BEFORE_S if what else (length_s * rng.random() if worker.stall_s else np.inf)
    gap = {"": worker.stall_s, "restart": 3.0, "kill": 7.0}[what]
    halted = (sent + took > stop) & (sent < stop + gap)
    done = np.where(halted, stop + gap + 0.0003 * np.cumsum(halted), sent + took)
    done = np.maximum.accumulate(done)  # first in, first out
    lost = rng.random(n) < worker.lost_share
    if what == "kill" and worker.lost_at_kill:
        in_hand = np.flatnonzero(halted)[: rng.poisson(worker.lost_at_kill)]
        lost[in_hand] = True
    lost[-KEYS * 4 :] = False  # of each key something sent later is answered
    late = ~lost & (done - sent > TIMEOUT_S)
    table = np.zeros(n, SAMPLE_DTYPE)
    table["payload"] = rng.integers(0, 4096, n)
    table["sent_ns"] = table["intended_ns"] = np.round((at_s + sent) * NS_PER_S)
    table["done_ns"] = np.round((at_s + np.where(lost | late, sent + TIMEOUT_S, done)) * NS_PER_S)
    table["outcome"] = np.where(lost | late, Outcome.TIMEOUT, Outcome.OK)
    again = rng.random(n) < worker.surplus_share
    if what in worker.repeats_s:
        again |= (done <= stop) & (done > stop - worker.repeats_s[what])
    overtaken = int(rng.binomial(n, worker.overtaken_share))
    came_ns = round((at_s + length_s) * NS_PER_S)
    rows = {"late": _spans(late, first), "duplicated": _spans(again, first)}
    counts = {"late": int(late.sum()), "duplicated": int(again.sum()), "reordered": overtaken}
    return table, [Account(came_ns, 0, counts, rows)], round((at_s + stop) * NS_PER_S) if what else 0


def _spans(mask: NDArray[np.bool_], first: int) -> list[tuple[int, int]]:
    return [(first + row, first + row) for row in np.flatnonzero(mask).tolist()]
