"""What a container's limits did to it: throttled, killed, started again. Pure: numbers in, checks out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from proofload.records import Check, Interval, Status

THROTTLED = 0.25
"""Share of the scheduler's periods in which it was stopped. Below that, a burst now and then; the alert that Kubernetes
clusters commonly have (CPUThrottlingHigh of kubernetes-mixin) has the same threshold."""
_BY_TIME = re.compile(r"(slo\.)?p\d+(_\d+)?(_ms)?|ok_share|base_load|goodput_at_peak|recovery|refusal_p95|"
                      r"responsiveness|threads_per_core")  # fmt: skip
"""Checks that fail because things take long; `ok_share` where they take so long that they are late."""
_UNSEEN = "a lab on the engine's host, or in a container with `--pid host --cgroupns host`: the control group tells"
_UNREAD = "a run in which the container engine answers the probe: see what it said in events.jsonl"
_UNKNOWN = Interval(None, None)
_MIB = 2.0**20


def throttling_told(share: float) -> str:
    return f"meanwhile its CPU limit stopped it in {share:.0%} of the scheduler's periods"


def blamed_on_throttling(checks: Iterable[Check], share: float, *, mostly_late: bool) -> tuple[Check, ...]:
    """Failures by time that nothing else explains, where it was throttled under this load. `mostly_late`: what did not
    end ok was late, refused, or timed out."""
    return tuple(
        replace(check, cause="cpu-throttled", evidence=f"{check.evidence.rstrip('.')}; {throttling_told(share)}")
        if share >= THROTTLED
        and check.status is Status.FAIL
        and not check.cause
        and _BY_TIME.fullmatch(check.name)
        and (mostly_late or check.name != "ok_share")
        else check
        for check in checks
    )


@dataclass(frozen=True, slots=True)
class Throttling:
    """Shares of scheduler periods in which it was stopped; None: not seen."""

    light: float | None
    """Below saturation."""
    peak: float | None
    limit_cores: float | None = None


def throttling_check(seen: Throttling, checks: Collection[Check]) -> Check | None:
    """The verdict on throttling in an overload, beside those on what it may have caused. None: it was not seen.

    Whoever is saturated uses up a CPU limit, so that alone explains nothing. It is a cause, and this check fails, where
    something that goes by time has failed and the limit stopped it already below saturation, or more of its threads
    wanted to run than there are cores. It never fails alone.
    """
    if seen.light is None and seen.peak is None:
        return None
    light, peak = seen.light or 0.0, seen.peak or 0.0
    failed = [check for check in checks if check.status is Status.FAIL and _BY_TIME.fullmatch(check.name)]
    crowded = any(check.name == "threads_per_core" for check in failed)
    early = light >= THROTTLED
    caused = bool(failed) and (early or (crowded and peak >= THROTTLED))
    observed = light if seen.light is not None and (early or not caused) else peak
    evidence = f"its CPU limit{_cores(seen.limit_cores)} stopped it in {_told(seen)}"
    if early and not caused:
        evidence += "; nothing that it was asked for suffered by that"
    return Check(
        name="throttling",
        status=Status.FAIL if caused else Status.PASS,
        observed=observed,
        limit=THROTTLED if caused or observed < THROTTLED else None,
        unit="share",
        interval=_UNKNOWN,
        evidence=evidence,
        cause="cpu-throttled" if caused else "",
    )


def _cores(limit: float | None) -> str:
    return "" if limit is None else f" of {limit:g} core{'s' if limit != 1 else ''}"


def _told(seen: Throttling) -> str:
    parts = []
    if seen.light is not None:
        parts.append(f"{seen.light:.0%} of the scheduler's periods below saturation")
    if seen.peak is not None:
        parts.append(f"{seen.peak:.0%} of those at the peak" if parts else f"{seen.peak:.0%} of them at the peak")
    return " and ".join(parts)


def kills_check(kills: int | None, limit_bytes: float | None) -> Check | None:
    """Processes of a target that lived on, killed at its memory limit (None: whether any was, nothing told). None where
    there were none, or there is no limit."""
    limit = "" if limit_bytes is None else f" of {limit_bytes / _MIB:,.0f} MiB"
    if kills is None and limit_bytes is not None:
        told = f"whether the kernel killed a process of it at its memory limit{limit} is not known: it was not read"
        return Check("memory_kills", Status.INCONCLUSIVE, None, 0.0, "kills", _UNKNOWN, told, settle=_UNSEEN)
    if not kills:
        return None
    told = f"the kernel killed {_times(kills, 'process', 'processes')} of it when its memory limit{limit} was reached"
    return Check("memory_kills", Status.FAIL, float(kills), 0.0, "kills", _UNKNOWN, told, cause="out-of-memory")


def restarts_check(restarts: int | None) -> Check | None:
    """None where it was never started again. `restarts` None: nothing told."""
    if restarts is None:
        told = "whether its container ended and was started again is not known: it was not read"
        return Check("restarts", Status.INCONCLUSIVE, None, 0.0, "restarts", _UNKNOWN, told, settle=_UNREAD)
    if restarts <= 0:
        return None
    told = f"its container ended and was started again {_times(restarts, 'time', 'times')} during the run"
    return Check("restarts", Status.FAIL, float(restarts), 0.0, "restarts", _UNKNOWN, told, cause="restarts-under-load")


def _times(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
