"""What a soak found, in sentences, and as data for its report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from proofload.analysis.ageing import Cell, percentile_ms
from proofload.analysis.finite import finite
from proofload.clock import NS_PER_S
from proofload.procedures._soak.allotment import OTHERS
from proofload.procedures._soak.checks import (
    SHORT_S,
    WRITTEN,
    attribution_told,
    exhaustion_told,
    rate_told,
    smallest_told,
)
from proofload.procedures._soak.exhaustion import Reached, reached_told
from proofload.procedures._soak.growth import Course, Judged, Span
from proofload.procedures._soak.processes import LEAK
from proofload.records import Check, Status
from proofload.report import numbers
from proofload.verdict.causes import CAUSES
from proofload.verdict.soak_latency import Creep

MAX_POINTS = 240
DAY_H = 24.0
_WORDS = {
    "memory": "memory",
    "fds": "open file descriptors",
    "threads": "threads",
    "sockets": "sockets",
    "disk": "files it holds open",
    "gpu-memory": "memory of the accelerator",
}
_MOST_TELLING = (LEAK, "thread-leak", "socket-leak", "fd-leak", "memory-leak", "out-of-memory", "gpu-memory-leak",
                 "disk-growth", "latency-creep", "errors-grow")  # fmt: skip


def headline(
    run: Mapping[str, Any],
    checks: Sequence[Check],
    found: Mapping[str, Judged],
    creeps: Mapping[str, Creep],
    main: Span,
) -> tuple[str, ...]:
    """Two or three sentences; empty where the SLO has the word. A pass begins with what it is good for."""
    name, horizon_h = str(run["target"]["name"]), float(run["scenario"]["horizon_h"])
    failed = [check for check in checks if check.status is Status.FAIL]
    causes = {check.cause for check in failed if check.cause}
    ran = numbers.seconds(main.end_s - main.begin_s)
    if causes:
        cause = next((one for one in _MOST_TELLING if one in causes), next(iter(causes)))
        first = f"{name} ages under {numbers.plain(main.rate_rps)} requests/s: {CAUSES[cause].meaning}"
        wrote = next((check.evidence for check in failed if check.name == WRITTEN and check.cause == cause), "")
        return (
            f"{first}{f': {wrote}' if wrote else _by_how_much(cause, found, creeps)}.",
            *_caveat(cause, found, main),
        )
    growing = [check for check in checks if check.name in OTHERS and check.status is Status.INCONCLUSIVE]
    if growing and not failed:
        unknown = ", ".join(check.name.replace("-", " ") for check in growing)
        are = "is" if len(growing) == 1 else "are"
        return (f"Whether {name} ages cannot be told from {ran}: {unknown} {are} open.",)
    memory = found.get("memory")
    if memory is None or any(check.status is not Status.PASS for check in checks):
        return ()
    growth, scale = memory.growth, 2.0**20
    told = (
        f"{name} shows no sign of age that would matter within {numbers.seconds(horizon_h * 3600.0)}: in {ran} at "
        f"{numbers.plain(main.rate_rps)} requests/s its memory {_at_most(memory, horizon_h)}{_for_how_long(horizon_h)}."
    )
    grew = (
        f"Memory grew by {numbers.significant(growth.growth / scale)} MiB "
        f"({_low(growth.low / scale)}{numbers.significant(growth.high / scale)}) in {growth.window_s:.0f} s."
    )
    return told, grew


def _at_most(memory: Judged, horizon_h: float) -> str:
    """The bound that this run shows of a steady leak. What leak it would have found in 19 of 20 runs like it is more,
    and stands with the check."""
    high, horizon_s = memory.per_s.high, horizon_h * 3600.0
    if high <= 0:
        return "did not grow"
    each = f" ({numbers.significant(high / memory.rate_rps / 1024)} KiB a request)" if memory.rate_rps else ""
    whole = f"{numbers.significant(high * horizon_s / 2.0**20)} MiB in {numbers.seconds(horizon_s)}"
    return f"grew by no more than {rate_told(memory, high)}{each}, which would be {whole}"


def _for_how_long(horizon_h: float) -> str:
    if horizon_h >= DAY_H:
        return ""
    return f"; that it holds for {DAY_H:g} h is not shown: run the full form, without --quick"


def _low(value: float) -> str:
    return f"{numbers.significant(value)} to " if math.isfinite(value) else "at most "


def _by_how_much(cause: str, found: Mapping[str, Judged], creeps: Mapping[str, Creep]) -> str:
    kinds = {
        "memory-leak": "memory", "fd-leak": "fds", "thread-leak": "threads", "socket-leak": "sockets",
        LEAK: "threads",
        "disk-growth": "disk", "gpu-memory-leak": "gpu-memory", "out-of-memory": "memory",
    }  # fmt: skip
    if cause == "latency-creep":
        name, creep = max(creeps.items(), key=lambda item: (item[1].status is Status.FAIL, item[0] == "p50"))
        return (
            f": {name} went from {numbers.significant(creep.start_ms)} to "
            f"{numbers.significant(creep.start_ms + creep.growth_ms)} ms"
        )
    one = found.get(kinds.get(cause, ""))
    if one is None:
        return ""
    parts = []
    if one.growth.status is Status.FAIL:
        rate = one.per_s
        parts.append(f", {rate_told(one, rate.value)} ({rate_told(one, rate.low)} to {rate_told(one, rate.high)})")
        attributed = attribution_told(one)
        if one.attribution.by != "unknown" and attributed:
            parts.append(f", {attributed}")
    if one.reached is not None:
        said = reached_told(one.reached, one.limit_told)
        parts.append(f". {said[0].upper()}{said[1:]}")
    exhausted = one.exhausted_s() if one.growth.status is Status.FAIL else None
    if exhausted is not None:
        parts.append(f". {one.limit_told[0].upper()}{one.limit_told[1:]} lasts for {exhaustion_told(exhausted)} more")
    return "".join(parts)


def _caveat(cause: str, found: Mapping[str, Judged], main: Span) -> tuple[str, ...]:
    return (*(_short(found, main) if cause == "memory-leak" else ()), *_near(found))


def _short(found: Mapping[str, Judged], main: Span) -> tuple[str, ...]:
    """What a short run cannot tell from a leak, where that is all that speaks for one."""
    memory, run_s = found.get("memory"), main.end_s - main.begin_s
    if memory is None or memory.growth.status is not Status.FAIL or memory.reached is not None or run_s >= SHORT_S:
        return ()
    told = f"In {numbers.seconds(run_s)} that cannot be told from memory which a collector frees once in some minutes"
    return (f"{told} (a large heap): the full form, without --quick, can.",)


def _near(found: Mapping[str, Judged]) -> tuple[str, ...]:
    near = [one for one in found.values() if one.of_limit is not None and one.of_limit >= 0.9 and one.reached is None]
    return tuple(
        f"Its {_WORDS[one.signal.name]} reached {numbers.share(one.of_limit)} of {one.limit_told}." for one in near
    )


def details(
    found: Mapping[str, Judged],
    creeps: Mapping[str, Creep],
    cells: Sequence[Cell],
    course: Course,
) -> Mapping[str, Any]:
    """Plain data. Instants in seconds since the first phase began; values in the signal's own unit."""
    main, others, start_ns = course.main, course.others, course.start_ns
    return {
        "main_s": [main.begin_s, main.end_s],
        "settled_s": main.settled_s,
        "rate_rps": main.rate_rps,
        "others": [{"begin_s": one.begin_s, "end_s": one.end_s, "rate_rps": one.rate_rps} for one in others],
        "signals": [_signal(one) for one in found.values()],
        "latency": {
            "t_s": [round(((cell.start_ns + cell.end_ns) / 2 - start_ns) / NS_PER_S, 3) for cell in cells],
            "p50_ms": [finite(percentile_ms(cell.counts, 0.5)) for cell in cells],
            "p99_ms": [finite(percentile_ms(cell.counts, 0.99)) for cell in cells],
            "failed_share": [finite(cell.bad / cell.due) if cell.due else None for cell in cells],
            "creep": {
                name: {
                    "status": one.status.value,
                    "start_ms": finite(one.start_ms),
                    "growth_ms": finite(one.growth_ms),
                    "low_ms": finite(one.low_ms),
                    "high_ms": finite(one.high_ms),
                    "allowed_ms": finite(one.allowed_ms),
                }
                for name, one in creeps.items()
            },
        },
    }


def _signal(one: Judged) -> Mapping[str, Any]:
    rate = one.per_s
    exhausted = one.exhausted_s()
    settled = (
        one.signal.between(one.signal.t_s[-1] - one.growth.window_s, np.inf) if len(one.signal.t_s) else one.signal
    )
    middle = (float(np.median(settled.t_s)), float(np.median(settled.values))) if len(settled.t_s) else (0.0, 0.0)
    return {
        "name": one.signal.name,
        "words": _WORDS[one.signal.name],
        "unit": one.signal.unit,
        "status": one.status.value,
        "why": one.missing or one.growth.why,
        "points": _thinned(one),
        "middle": list(middle),
        "per_s": finite(rate.value),
        "per_s_low": finite(rate.low),
        "per_s_high": finite(rate.high),
        "window_s": one.growth.window_s,
        "margin_per_s": finite(one.rule.margin / one.growth.window_s) if one.growth.window_s else None,
        "limit": one.limit,
        "limit_told": one.limit_told,
        "of_limit": one.of_limit,
        "exhausted_s": None if exhausted is None else [finite(value) for value in exhausted],
        "reached": None if one.reached is None else _reached(one.reached),
        "smallest_per_s": one.smallest,
        "smallest_per_request": one.smallest / one.rate_rps if one.smallest and one.rate_rps else None,
        "smallest": smallest_told(one),
        "by": one.attribution.by,
        "per_request": one.attribution.per_request,
        "attribution": attribution_told(one),
        "steps": one.growth.steps,
        "cycles": one.growth.cycles,
        "restarts": one.signal.restarts,
    }


def _reached(found: Reached) -> Mapping[str, Any]:
    early = found.foretold
    told = None if early is None else [finite(at) for at in (early.expected_s, early.soonest_s, early.latest_s)]
    return {"at_s": found.at_s, "foretold_by_s": None if early is None else early.by_s, "foretold_s": told}


def _thinned(one: Judged) -> list[list[float]]:
    """A few hundred points of the whole run: of each group the last, so that what was read stays what was read."""
    t, y = one.whole.t_s, one.whole.values
    step = max(1, -(-len(t) // MAX_POINTS))
    return [[round(float(at), 3), float(value)] for at, value in zip(t[::-step][::-1], y[::-step][::-1], strict=True)]
