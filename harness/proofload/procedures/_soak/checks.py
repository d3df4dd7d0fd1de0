"""What was judged of a soak, as checks with evidence in words."""

from __future__ import annotations

import math
from collections.abc import Mapping

from proofload.analysis.finite import finite
from proofload.procedures._soak.exhaustion import reached_told
from proofload.procedures._soak.growth import NEAR, Judged
from proofload.records import Check, Interval, Status
from proofload.report import numbers
from proofload.verdict.soak_latency import Creep, MoreFailures

CAUSES = {
    "memory": "memory-leak",
    "fds": "fd-leak",
    "threads": "thread-leak",
    "sockets": "socket-leak",
    "disk": "disk-growth",
    "gpu-memory": "gpu-memory-leak",
}
WRITTEN = "disk-written"
"""The check of what is written beside the files that are held open."""
SHORT_S = 600.0
_MIB = 2.0**20
_THREAD_BYTES = 1.0 * _MIB
_HANDLE_BYTES = 64 * 1024.0
NO_PID = (
    "no process is known: name the target's process with `--set target.probe.pid=N`, or let proofload start it "
    "([start] in a target file)"
)


def growth_check(one: Judged, all_judged: Mapping[str, Judged], *, run_s: float) -> Check:
    """The check "growth of …" of one resource; observed and limit are growth within the judged window."""
    status = one.status
    scale, unit = _scaled(one)
    growth = one.growth
    return Check(
        name=f"{one.signal.name}-growth",
        status=status,
        observed=None if one.missing else growth.growth / scale,
        limit=rounded(one.rule.margin / scale),
        unit=unit,
        interval=Interval(finite(growth.low / scale), finite(growth.high / scale)),
        evidence=_evidence(one, run_s),
        settle=_settle(one) if status is Status.INCONCLUSIVE else "",
        cause=cause_of(one, all_judged) if status is Status.FAIL else "",
    )


def cause_of(one: Judged, all_judged: Mapping[str, Judged]) -> str:
    """Its own kind of leak, unless what it holds is owed to another that leaks as well: stacks to threads, say."""
    name = one.signal.name
    if one.reached is not None and one.growth.low <= 0:
        return "out-of-memory"
    if name == "fds" and _owed(one, all_judged.get("sockets"), 0.5, 2.0):
        return CAUSES["sockets"]
    if name == "memory":
        if _owed(one, all_judged.get("threads"), 0.0, _THREAD_BYTES):
            return CAUSES["threads"]
        for handle in ("sockets", "fds"):
            if _owed(one, all_judged.get(handle), 0.0, _HANDLE_BYTES):
                return CAUSES[handle]
    return CAUSES[name]


def _owed(one: Judged, other: Judged | None, least: float, most: float) -> bool:
    """Does `one` grow by `least` to `most` for each that `other`, which leaks, grows by?"""
    if other is None or other.status is not Status.FAIL or other.per_s.value <= 0:
        return False
    return least <= one.per_s.value / other.per_s.value <= most


def unseen(name: str, why: str) -> Check:
    """A resource that nothing was read of. No data is no pass."""
    return Check(
        name=f"{name}-growth",
        status=Status.INCONCLUSIVE,
        observed=None,
        limit=None,
        unit="",
        interval=Interval(None, None),
        evidence=f"nothing was read of it: {why}",
        settle=NO_PID,
    )


def creep_check(name: str, creep: Creep) -> Check:
    told = "too few answers"
    if math.isfinite(creep.growth_ms):
        told = (
            f"{name} began at {numbers.significant(creep.start_ms)} ms and grew by "
            f"{numbers.significant(creep.growth_ms)} ms within the run; {numbers.significant(creep.allowed_ms)} ms "
            f"would matter: {creep.why}"
        )
    return Check(
        name=f"{name}-creep",
        status=creep.status,
        observed=finite(creep.growth_ms),
        limit=rounded(creep.allowed_ms),
        unit="ms",
        interval=Interval(finite(creep.low_ms), finite(creep.high_ms)),
        evidence=told,
        settle="a longer run (--set duration_s=…) on a quieter machine" if creep.status is Status.INCONCLUSIVE else "",
        cause="latency-creep" if creep.status is Status.FAIL else "",
    )


def failures_check(found: MoreFailures, allowed: float, cause: str) -> Check:
    told = "nothing was due"
    if math.isfinite(found.late):
        told = (
            f"{numbers.share(found.early)} of the requests in the first third did not end ok, and "
            f"{numbers.share(found.late)} of those in the last"
        )
    return Check(
        name="failures-growth",
        status=found.status,
        observed=finite(found.late - found.early),
        limit=allowed,
        unit="share",
        interval=Interval(finite(found.low), finite(found.high)),
        evidence=told,
        settle="a longer run (--set duration_s=…)" if found.status is Status.INCONCLUSIVE else "",
        cause=(cause or "errors-grow") if found.status is Status.FAIL else "",
    )


def rate_told(one: Judged, per_s: float) -> str:
    """A growth per second in words: "5.91 MiB/s", "36 an hour"."""
    if one.signal.unit == "bytes":
        for unit, seconds in (("s", 1.0), ("min", 60.0), ("h", 3600.0)):
            if abs(per_s) * seconds >= 0.1 * _MIB or unit == "h":
                return f"{numbers.significant(per_s * seconds / _MIB)} MiB/{unit}"
    for unit, seconds in (("s", 1.0), ("min", 60.0)):
        if abs(per_s) * seconds >= 1.0:
            return f"{numbers.significant(per_s * seconds)}/{unit}"
    return f"{numbers.significant(per_s * 3600.0)}/h"


def attribution_told(one: Judged) -> str:
    """What it grows by, or empty."""
    found = one.attribution
    bytes_ = one.signal.unit == "bytes"
    if found.per_request is not None:
        size = (
            f"{numbers.significant(found.per_request / 1024)} KiB"
            if bytes_
            else f"one for every {numbers.significant(1 / found.per_request)} requests"
        )
        each = f"{size} a request" if bytes_ else size
        return f"{each}, and some with time" if found.by == "both" else f"{each}; idle, it stands still"
    if found.by == "time":
        return "with time, whether requests come or not"
    return f"whether by request or by time cannot be told ({found.why})" if one.growth.low > 0 else ""


def smallest_told(one: Judged) -> str:
    if one.smallest is None:
        return ""
    each = one.smallest / one.rate_rps if one.rate_rps else 0.0
    if one.signal.unit == "bytes":
        return f"{rate_told(one, one.smallest)} ({numbers.significant(each / 1024)} KiB a request)"
    return f"{rate_told(one, one.smallest)} (one for every {numbers.significant(1 / each)} requests)"


def _evidence(one: Judged, run_s: float) -> str:
    parts = []
    if one.reached is not None:
        parts.append(reached_told(one.reached, one.limit_told))
    elif one.of_limit is not None and one.of_limit >= NEAR:
        parts.append(f"it reached {numbers.share(one.of_limit)} of {one.limit_told}")
    if one.missing:
        return "; ".join([*parts, one.missing])
    growth = one.growth
    parts.append(f"{growth.why}: {rate_told(one, one.per_s.value)} over the last {growth.window_s:.0f} s")
    if one.status is Status.FAIL:
        parts.append(attribution_told(one))
        exhausted = one.exhausted_s()
        if exhausted is not None:
            parts.append(f"{one.limit_told} would be reached after {exhaustion_told(exhausted)}")
        if growth.status is Status.FAIL and run_s < SHORT_S:
            parts.append(
                f"in {run_s:.0f} s, what rises and falls in a minute or more looks the same: gate on the full setting"
            )
    if growth.steps:
        scale, unit = _scaled(one)
        parts.append(f"{growth.steps} steps upwards ({numbers.significant(growth.stepped / scale)} {unit}) left out")
    if one.signal.restarts:
        often = "once" if one.signal.restarts == 1 else f"{one.signal.restarts} times"
        parts.append(f"processes joined {often}")
    if one.signal.own:
        parts.append(one.signal.own)
    if one.smallest is not None and one.status is not Status.FAIL:
        parts.append(f"a steady growth of {smallest_told(one)} or more would have been found")
    elif growth.cycles:
        parts.append("as it rises and falls by itself, no smallest leak can be told")
    return "; ".join(filter(None, parts))


def exhaustion_told(seconds: tuple[float, float, float]) -> str:
    expected, soonest, latest = seconds
    until = numbers.seconds(latest) if math.isfinite(latest) else "never"
    return f"{numbers.seconds(expected)} ({numbers.seconds(soonest)}–{until})"


def _settle(one: Judged) -> str:
    if one.missing:
        return "a run during which the probe can read the target all the time"
    if one.growth.cycles:
        return "a run many times longer than what it takes to rise and fall once"
    return "a longer run: --set duration_s=…"


def _scaled(one: Judged) -> tuple[float, str]:
    return (_MIB, "MiB") if one.signal.unit == "bytes" else (1.0, "")


def rounded(value: float) -> float | None:
    """A limit that was computed, to three figures."""
    return float(f"{value:.3g}") if math.isfinite(value) else None
