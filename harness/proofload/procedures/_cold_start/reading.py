"""A run folder of restarts, read back: one `Life` for each instance, and what happened when a second one joined."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from proofload.analysis.openings import Requests
from proofload.clock import NS_PER_S
from proofload.procedures import Evidence
from proofload.procedures._cold_start.join import PHASE
from proofload.procedures._cold_start.requests import requests_of
from proofload.records import SAMPLE_DTYPE, Outcome, Phase, Samples

_FAILED = (Outcome.WRONG, Outcome.SHED, Outcome.ERROR, Outcome.TIMEOUT)
_ANSWERED = (Outcome.OK, Outcome.WRONG, Outcome.LATE)


@dataclass(frozen=True, slots=True)
class Life:
    """One restart."""

    number: int
    condition: str
    page_cache: str
    outcome: str
    """ready, not ready, died"""
    ready_s: float
    """inf when it was not ready as long as it was waited for."""
    waited_s: float
    rested_s: float
    """How long it was left alone once it was ready; above 0 it is there for the diagnosis alone."""
    instants_ns: Mapping[str, int]
    """spawn, port_bound, live, ready, first_request, first_answer, first_correct: those that were seen."""
    requests: Requests
    phase: Phase | None
    growth: tuple[Growth, ...]
    failures: Mapping[str, int]
    """How requests failed: "shed 503", "error refused", "wrong"; how many."""
    what: str = ""

    def since_s(self, since: str, instant: str) -> float | None:
        """Seconds between two instants; None where one was not seen."""
        both = self.instants_ns.get(since), self.instants_ns.get(instant)
        return None if both[0] is None or both[1] is None else (both[1] - both[0]) / NS_PER_S

    def since_ready_s(self, instant: str) -> float | None:
        return self.since_s("ready", instant)


@dataclass(frozen=True, slots=True)
class Growth:
    """What one process took on between the instant it was ready and the end of its first load."""

    pid: int
    memory_bytes: int | None
    before_bytes: int | None
    read_bytes: int | None
    hands: int | None
    """Threads and descriptors more."""


@dataclass(frozen=True, slots=True)
class Joining:
    """The load while a second instance joined. Instants are 0 where they did not come."""

    phase: Phase
    samples: Samples
    starting_ns: int
    joined_ns: int
    problem: str = ""
    died: bool = False


@dataclass(frozen=True, slots=True)
class ColdRun:
    lives: tuple[Life, ...]
    """Those that count, in order."""
    rested: Life | None
    steady: Phase | None
    joining: Joining | None
    join_impossible: str
    caches: Mapping[int, Mapping[str, Any]]
    """What was dropped of the page cache before each restart, by number."""


def read(evidence: Evidence) -> ColdRun:
    phases = {phase.name: phase for phase in evidence.phases}
    grown = {e.detail["number"]: e.detail["processes"] for e in evidence.events if e.kind == "restart-processes"}
    lives = [
        _life(evidence, event.detail, phases.get(f"restart {event.detail['number']}"), grown)
        for event in evidence.events
        if event.kind == "restart"
    ]
    return ColdRun(
        lives=tuple(life for life in lives if not life.rested_s),
        rested=next((life for life in lives if life.rested_s), None),
        steady=phases.get("steady"),
        joining=_joining(evidence, phases.get(PHASE)),
        join_impossible=next(
            (e.detail["why"] for e in evidence.events if e.kind == "join" and e.detail["what"] == "impossible"), ""
        ),
        caches={e.detail["number"]: e.detail for e in evidence.events if e.kind == "page-cache"},
    )


def _life(evidence: Evidence, detail: Mapping[str, Any], phase: Phase | None, grown: Mapping[int, Any]) -> Life:
    timeline = {name.removesuffix("_ns"): int(at) for name, at in detail["timeline"].items()}
    samples = evidence.samples(phase.index) if phase is not None else None
    if samples is not None:
        timeline |= _firsts(samples)
    ready = detail["outcome"] == "ready"
    return Life(
        number=int(detail["number"]),
        condition=str(detail["condition"]),
        page_cache=str(detail["page_cache"]),
        outcome=str(detail["outcome"]),
        ready_s=(timeline["ready"] - timeline["spawn"]) / NS_PER_S if ready else math.inf,
        waited_s=float(detail["took_s"]),
        rested_s=float(detail["rested_s"]),
        instants_ns=timeline,
        requests=requests_of(Samples(np.zeros(0, SAMPLE_DTYPE)) if samples is None else samples),
        phase=phase,
        failures={} if samples is None else _failures(samples, evidence.names),
        growth=_growth(detail.get("processes", ()), grown.get(detail["number"], ())),
        what="\n".join(filter(None, (str(detail.get("what", "")), str(detail.get("evidence", ""))))),
    )


def _firsts(samples: Samples) -> dict[str, int]:
    """When the first request was due, the first answer came, and the first correct one."""
    table = samples.table
    found: dict[str, int] = {}
    sent = table["outcome"] != Outcome.UNSENT
    if sent.any():
        found["first_request"] = int(table["intended_ns"][sent].min())
    for name, outcomes in (("first_answer", _ANSWERED), ("first_correct", (Outcome.OK, Outcome.LATE))):
        done = table["done_ns"][[outcome in outcomes for outcome in table["outcome"]]]
        if len(done):
            found[name] = int(done.min())
    return found


def _failures(samples: Samples, names: Mapping[tuple[str, int], str]) -> dict[str, int]:
    table = samples.table[[outcome in _FAILED for outcome in samples.outcome]]
    kinds: Counter[str] = Counter()
    for row in table:
        outcome = Outcome(row["outcome"]).name.lower()
        detail = str(row["status"]) if row["status"] > 0 else names.get(("error", int(row["error"])), "")
        kinds[outcome if outcome in {"wrong", "timeout"} else f"{outcome} {detail}".strip()] += 1
    return dict(kinds)


def _growth(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> tuple[Growth, ...]:
    """By process; one that was not there before is left out."""
    held = {one["pid"]: one for one in before}
    return tuple(
        Growth(
            one["pid"],
            _less(one["uss_bytes"], held[one["pid"]]["uss_bytes"]),
            held[one["pid"]]["uss_bytes"],
            _less(one["read_bytes"], held[one["pid"]]["read_bytes"]),
            _less(one.get("hands"), held[one["pid"]].get("hands")),
        )
        for one in after
        if one["pid"] in held
    )


def _less(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before


def _joining(evidence: Evidence, phase: Phase | None) -> Joining | None:
    if phase is None:
        return None
    said = {event.detail["what"]: event for event in evidence.events if event.kind == "join"}
    failed = said.get("failed")
    return Joining(
        phase=phase,
        samples=evidence.samples(phase.index),
        starting_ns=said["starting"].t_ns if "starting" in said else 0,
        joined_ns=said["joined"].t_ns if "joined" in said else 0,
        problem="" if failed is None else str(failed.detail["why"]),
        died=failed is not None and bool(failed.detail["died"]),
    )
