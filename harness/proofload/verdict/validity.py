"""May this measurement be believed? One function for each code of the closed list (codes.py).

The client is a suspect: it has to show that it kept its schedule, lost nothing and had the machine it needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from proofload.analysis.health import STALL_MS, readings_within, worst_mean
from proofload.analysis.lag import DEEP, breaches, plain_percentiles
from proofload.analysis.summary import due_since, latencies, outcome_counts, send_lags
from proofload.records import ClientHealth, Phase, Samples, Validity
from proofload.report.numbers import short
from proofload.verdict.codes import (
    BROKER_BYTES,
    BROKER_MESSAGES,
    CLOCK_SLACK_NS,
    CPU_FULL,
    HARMFUL_LAG_MS,
    HELD_UP,
    RULES,
    STALL_EVERY_S,
    STALLS_ALWAYS_FREE,
    STARVED,
    STARVED_AND_LATE,
    STARVED_WITH_LAG,
    STEAL,
)


@dataclass(frozen=True, slots=True)
class Backlog:
    """The fullest partition of an embedded broker at its worst moment."""

    messages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """Users who wait for their answer before they send again."""

    users: int
    held_up: int
    """Requests that fell due while their user still waited for an earlier answer."""
    of: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that validity is judged by, for one phase."""

    phase: Phase
    samples: Samples
    """All samples of the phase; what is due before `cut_ns` only counts for conservation and the clock."""
    health: ClientHealth
    cut_ns: int = 0
    duration_s: float = 0.0
    """Length of the measured stretch; 0: the phase's planned length."""
    worker_stats: Sequence[Mapping[str, Any]] = ()
    client_errors: Mapping[str, int] = field(default_factory=dict)
    """Errors by kind; those of the client's own making are named "client-ports" and "client-fds"."""
    interrupted: str = ""
    """Why the run ended early, or empty."""
    shared_cores: Sequence[int] = ()
    """Cores that both the client and the target may run on."""
    backlog: Backlog | None = None
    """None where no embedded broker was used."""
    closed_loop: ClosedLoop | None = None
    """None where requests were sent when they were due, whatever became of earlier ones."""


def judge(evidence: Evidence) -> tuple[Validity, ...]:
    """Every code of the closed list, in order, each with what was seen."""
    measured = due_since(evidence.samples, evidence.cut_ns)
    lag = plain_percentiles(send_lags(measured))
    lagging = _send_lag(lag, measured)
    found: dict[str, tuple[bool, str]] = {"send-lag": lagging}
    looks: dict[str, Callable[[], tuple[bool, str]]] = {
        "cpu-starved": lambda: _starved(evidence.health, lag, late=not lagging[0]),
        "loop-stall": lambda: _stalls(evidence.health, evidence.duration_s or evidence.phase.duration_s),
        "client-cpu": lambda: _cpu(evidence.health, lag, measured),
        "conservation": lambda: _conservation(evidence.samples, evidence.phase.planned),
        "unsent": lambda: _unsent(measured),
        "client-ports": lambda: _own_errors(evidence.client_errors, "client-ports", "local port"),
        "client-fds": lambda: _own_errors(evidence.client_errors, "client-fds", "file descriptor"),
        "interrupted": lambda: (not evidence.interrupted, evidence.interrupted or "the run ended by itself"),
        "no-data": lambda: _no_data(measured, evidence.client_errors),
        "host-steal": lambda: _steal(measured, evidence.worker_stats),
        "shared-core": lambda: _shared(evidence.shared_cores, found),
        "broker-backlog": lambda: _backlog(evidence.backlog),
        "closed-loop": lambda: _closed_loop(evidence.closed_loop),
        "clock": lambda: _clock(evidence.samples),
    }
    for code, look in looks.items():
        found[code] = look()
    return tuple(
        Validity(code, ok=found[code][0], detail=found[code][1], remedy="" if found[code][0] else rule.remedy)
        for code, rule in RULES.items()
    )


def merged(by_phase: Mapping[str, Iterable[Validity]]) -> tuple[Validity, ...]:
    """One list for a run of several phases: a code is ok only where every phase says so.

    The detail is that of the first phase that is not, with the phases' names; else of the last one.
    """
    judged = {name: {item.code: item for item in items} for name, items in by_phase.items()}
    result = []
    for code in RULES:
        seen = [(name, items[code]) for name, items in judged.items() if code in items]
        bad = [(name, item) for name, item in seen if not item.ok]
        if bad:
            names = ", ".join(name for name, _ in bad)
            result.append(Validity(code, ok=False, detail=f"{names}: {bad[0][1].detail}", remedy=bad[0][1].remedy))
        elif seen:
            result.append(seen[-1][1])
    return tuple(result)


def _send_lag(lag: Mapping[str, float], measured: Samples) -> tuple[bool, str]:
    if not lag:
        return True, "nothing was dispatched"
    latency_ns, _ = latencies(measured)
    spoiled = breaches(lag, plain_percentiles(latency_ns))
    grave = {name: limit for name, limit in spoiled.items() if name not in DEEP}
    if grave:
        worst = max(grave, key=lambda name: lag[name] / grave[name])
        return (
            False,
            f"send lag {_spoken(worst)} was {short(lag[worst])} ms where {short(grave[worst])} ms is permitted",
        )
    detail = f"send lag p50 {short(lag['p50'])} ms, p99 {short(lag['p99'])} ms"
    deep = [_spoken(name) for name in DEEP if name in spoiled]
    return True, detail + (f"; too late to report latency {' and '.join(deep)}" if deep else "")


def _starved(health: ClientHealth, lag: Mapping[str, float], *, late: bool) -> tuple[bool, str]:
    share = health.runqueue_share
    if share is None:
        return True, "the kernel does not tell how long the client waited for a core"
    harmed = lag.get("p99", 0.0) > HARMFUL_LAG_MS
    starved = share >= STARVED or (share >= STARVED_WITH_LAG and harmed) or (share >= STARVED_AND_LATE and late)
    return not starved, f"an engine process was ready to run and waited for a core {share:.1%} of the time"


def _stalls(health: ClientHealth, duration_s: float) -> tuple[bool, str]:
    free = max(STALLS_ALWAYS_FREE, duration_s / STALL_EVERY_S)
    times = "once" if health.loop_stalls == 1 else f"{health.loop_stalls} times"
    return (
        health.loop_stalls <= free,
        f"the loop stood still for {STALL_MS:.0f} ms or longer {times} in {short(duration_s)} s",
    )


def _cpu(health: ClientHealth, lag: Mapping[str, float], measured: Samples) -> tuple[bool, str]:
    """A full client sends on time all the same, for sending comes first; then it is connections that are missing,
    since it is late to read the answers that would free them. Nobody can tell that from a slow target."""
    if health.cpu_share is None:
        return True, "the client's CPU share is unknown"
    told = f"the busiest engine process used {health.cpu_share:.0%} of a core"
    if health.cpu_share <= CPU_FULL:
        return True, told
    sent = measured.table["sent_ns"] > 0
    wait_ms = plain_percentiles(measured.connection_wait_ns[sent]).get("p99", 0.0)
    if wait_ms > HARMFUL_LAG_MS:
        return False, f"{told}, and requests waited for a connection (p99 {short(wait_ms)} ms)"
    return lag.get("p99", 0.0) <= HARMFUL_LAG_MS, told


def _conservation(samples: Samples, planned: int) -> tuple[bool, str]:
    seq = np.ascontiguousarray(samples.table["seq"])
    inside = seq[(seq >= 0) & (seq < planned)]
    seen = np.zeros(planned, dtype=np.bool_)
    seen[inside] = True
    distinct = int(np.count_nonzero(seen))
    missing, surplus = planned - distinct, len(samples) - distinct
    named = sum(outcome_counts(samples).values())
    ok = missing == 0 and surplus == 0 and named == len(samples)
    if ok:
        return True, f"{planned:,} planned, {planned:,} recorded once each"
    return False, f"of {planned:,} planned requests {missing:,} have no record; {surplus:,} records are surplus"


def _unsent(measured: Samples) -> tuple[bool, str]:
    unsent = outcome_counts(measured)["unsent"]
    return unsent == 0, f"{unsent:,} of {len(measured):,} due requests were never dispatched"


def _own_errors(errors: Mapping[str, int], kind: str, thing: str) -> tuple[bool, str]:
    count = errors.get(kind, 0)
    return count == 0, f"{count:,} requests failed because the client had no free {thing}"


def _no_data(measured: Samples, errors: Mapping[str, int]) -> tuple[bool, str]:
    own = sum(errors.get(kind, 0) for kind in ("client-ports", "client-fds"))
    reached = len(measured) - outcome_counts(measured)["unsent"] - own
    return reached > 0, f"{max(0, reached):,} requests reached the target or failed on its side"


def _steal(measured: Samples, worker_stats: Sequence[Mapping[str, Any]]) -> tuple[bool, str]:
    share = worst_mean(readings_within(measured, worker_stats), "steal_share")
    if share is None:
        return True, "the host does not tell how much of the client's core was taken"
    return share < STEAL, f"{share:.1%} of the client's core was taken by the hypervisor"


def _shared(cores: Sequence[int], found: Mapping[str, tuple[bool, str]]) -> tuple[bool, str]:
    if not cores:
        return True, "client and target have cores of their own, or are not placed by the lab"
    named = ", ".join(str(core) for core in cores)
    harmed = [code for code in ("send-lag", "cpu-starved", "loop-stall") if not found[code][0]]
    if harmed:
        return False, f"client and target share core {named}, and the client suffers from it ({', '.join(harmed)})"
    return True, f"client and target share core {named}; the client kept its schedule all the same"


def _backlog(backlog: Backlog | None) -> tuple[bool, str]:
    if backlog is None:
        return True, "no embedded broker was used"
    ok = backlog.messages <= BROKER_MESSAGES and backlog.bytes <= BROKER_BYTES
    return (
        ok,
        f"at most {backlog.messages:,} messages ({short(backlog.bytes / 2**20, 2)} MiB) waited in one partition",
    )


def _closed_loop(loop: ClosedLoop | None) -> tuple[bool, str]:
    if loop is None:
        return True, "requests were sent when they were due, whether or not earlier ones had been answered"
    share = loop.held_up / max(1, loop.of)
    waiting = f"{loop.held_up:,} of {loop.of:,} requests ({share:.1%}) fell due while their user still waited"
    told = f"{loop.users:,} users each waited for their answer before they sent again; {waiting}"
    return share <= HELD_UP, f"{told}, and were sent late or never" if loop.held_up else told


def _clock(samples: Samples) -> tuple[bool, str]:
    table = samples.table
    wrong = 0
    for earlier, later in (("intended_ns", "dispatched_ns"), ("dispatched_ns", "sent_ns"), ("sent_ns", "done_ns")):
        both = (table[earlier] > 0) & (table[later] > 0)
        wrong += int(np.count_nonzero(both & (table[later] - table[earlier] < -CLOCK_SLACK_NS)))
    return wrong == 0, f"{wrong:,} instants out of order"


def _spoken(name: str) -> str:
    return name.replace("_", ".")
