"""What an overload showed, check by check. Pure: numbers in, checks out; the cause is named by peak_causes.py.

Every check has its own share of the scenario's error rate of a fail (`alpha_fail`), and passes at `alpha_pass`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from proofload.analysis.company import FEWEST, Chance
from proofload.analysis.effective import design_effect
from proofload.analysis.goodput import Ratio
from proofload.analysis.overload_recovery import OK_SHARE, Baseline, Recovery
from proofload.analysis.rule import Ruling, holds
from proofload.analysis.shares import one_sided_bounds
from proofload.clock import NS_PER_MS
from proofload.records import Check, Interval, Status
from proofload.report.numbers import short

UNKNOWN = Interval(None, None)
EXCESS = 0.02
"""A share of requests not ended well at the peak below which there is no excess to refuse."""
REFUSALS_Q = 0.95
"""The share of refusals that must come in time."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Error rates of one check."""

    fail: float
    good: float


def cannot_tell(name: str, why: str, settle: str, *, limit: float | None = None, unit: str = "") -> Check:
    return Check(name, Status.INCONCLUSIVE, None, limit, unit, UNKNOWN, why, settle)


def goodput_check(ratios: Mapping[str, Ratio | None], limit: float) -> Check:
    """`ratios`: goodput of the hold over that of each reference, by what the reference is called."""
    name, unit = "goodput_at_peak", "ratio"
    known = {told: ratio for told, ratio in ratios.items() if ratio is not None}
    if not known:
        return cannot_tell(
            name, "too few one-second blocks to compare", "longer steps: hold_s, plateau_s", limit=limit, unit=unit
        )
    told, worst = min(known.items(), key=lambda item: item[1].value)
    if any(ratio.fail_high < limit for ratio in known.values()):
        status = Status.FAIL
    elif len(known) == len(ratios) and all(ratio.low >= limit for ratio in known.values()):
        status = Status.PASS
    else:
        status = Status.INCONCLUSIVE
    return Check(
        name,
        status,
        worst.value,
        limit,
        unit,
        Interval(worst.low, worst.high if math.isfinite(worst.high) else None),
        f"at the peak it completes {worst.value:.0%} of what it completes at {told}; at least {limit:.0%} is asked for",
        "" if status is not Status.INCONCLUSIVE else "a longer hold and plateau: --set hold_s=… --set plateau_s=…",
    )


def excess_check(
    ok: NDArray[np.bool_], refused_in_time: NDArray[np.bool_], share: float, errors: Errors, *, overload_sought: bool
) -> Check:
    """Of what was not served well at the peak, at least `share` must be refused, in time; masks in due order.

    `overload_sought`: the peak was to be beyond what the target can serve. Where the user gave the base load, ten times
    it may well be within that.
    """
    name, unit = "excess_refused", "share"
    if not len(ok):
        return cannot_tell(name, "no request was due at the peak", "a longer hold", limit=share, unit=unit)
    excess = ~ok
    n = int(np.count_nonzero(excess))
    if n <= EXCESS * len(ok):
        told = f"{n:,} of {len(ok):,} requests at the peak did not end well: there was no excess to refuse"
        if overload_sought:
            why = f"it was not overloaded: {told}"
            settle = "a peak beyond what it can serve: a larger --set max_rps=… or --set base_rate_rps=…"
            return cannot_tell(name, why, settle, limit=share, unit=unit)
        return Check(name, Status.PASS, None, share, unit, UNKNOWN, told)
    kept_waiting = ~refused_in_time[excess]
    ruling = _ruled(kept_waiting, share, errors)
    return Check(
        name,
        ruling.status,
        1.0 - float(np.mean(kept_waiting)),
        share,
        unit,
        _complement(ruling.interval),
        f"of {n:,} requests at the peak that were not served well, {n - int(kept_waiting.sum()):,} were refused in "
        "time; the others waited in vain or met an error",
        _settle(ruling),
    )


def refusal_check(latency_ms: NDArray[np.float64], limit_ms: float, errors: Errors) -> Check | None:
    """The speed of refusals at the peak, in due order; None where there were none."""
    n = len(latency_ms)
    if not n:
        return None
    slow = latency_ms > limit_ms
    ruling = _ruled(slow, REFUSALS_Q, errors)
    p95 = float(np.sort(latency_ms)[max(0, -(-n * 95 // 100) - 1)])
    return Check(
        "refusal_p95",
        ruling.status,
        p95,
        limit_ms,
        "ms",
        UNKNOWN,
        f"{int(slow.sum()):,} of {n:,} refusals took longer than {limit_ms:g} ms; 5 % may",
        _settle(ruling),
        cause="slow-refusals" if ruling.status is Status.FAIL else "",
    )


def recovery_check(found: Recovery | None, baseline: Baseline | None, within_s: float, settled_s: float) -> Check:
    """Back at base load, is it itself again within `within_s`?"""
    name, unit = "recovery", "s"
    if baseline is None or not baseline.healthy:
        served = "no request was due" if baseline is None else f"only {baseline.ok_share:.1%} of the requests went well"
        why = f"before the peak {served} at base load, so there is nothing to return to"
        return cannot_tell(name, why, "a base load it can serve: --set base_rate_rps=…", limit=within_s, unit=unit)
    if found is None or not found.told:
        return cannot_tell(
            name, "too few requests after the peak", "a longer return: --set back_s=…", limit=within_s, unit=unit
        )
    bounds = Interval(found.after_s, found.after_s) if found.after_s is not None else Interval(found.watched_s, None)
    if found.after_s is not None and found.after_s <= within_s:
        status = Status.PASS
    elif found.watched_s >= within_s and (found.nearly_s is None or found.nearly_s > within_s):
        status = Status.FAIL
    else:
        status = Status.INCONCLUSIVE
    told = (
        f"back at base load it was itself again after {found.after_s:.1f} s"
        if found.after_s is not None
        else f"{short(found.watched_s)} s after the return to a load that was healthy before it had not recovered"
    )
    told += f" ({OK_SHARE:.0%} ok and 95 % of answers within {short(baseline.limit_ms)} ms, for {settled_s:g} s on end)"
    settle = "a longer return: --set back_s=…" if status is Status.INCONCLUSIVE else ""
    return Check(name, status, found.after_s, within_s, unit, bounds, told, settle)


HELD_BACK = 0.2
"""The largest share of lone requests that may be answered together with a later one, by chance."""
HELD_BACK_OPEN = 0.4
"""Where more than this share is possible, nothing is said."""
HELD_BACK_FEWEST = 12


def light_load_check(
    chance: Chance | None,
    held: NDArray[np.bool_],
    *,
    margin_ms: float,
    limit: float,
    medians: tuple[float, float],
    errors: Errors,
) -> Check:
    """Lone requests must not wait for company: not be slower than those in company (`chance`), nor be held back until a
    later one is answered (`held`). `medians`: alone and in company, ms. `errors.fail` is halved between the two."""
    name, unit = "light_load", "chance"
    n, count = len(held), int(np.count_nonzero(held))
    low, high = one_sided_bounds(count, n, errors.good)
    told = f"{count:,} of {n:,} requests that found it idle were answered together with a later one"
    if one_sided_bounds(count, n, errors.fail / 2)[0] > HELD_BACK:
        evidence = f"{told}: they were held back for it (median {short(medians[0])} ms alone)"
        bounds = Interval(low, high)
        return Check(name, Status.FAIL, count / n, HELD_BACK, "share", bounds, evidence, cause="static-batching")
    if chance is None:
        why = f"fewer than {FEWEST} requests were alone, or in company, below saturation"
        return cannot_tell(name, why, "longer steps: --set step_s=…", limit=limit, unit=unit)
    status = _below(limit, chance.high, chance.fail_low)
    if status is Status.PASS and n >= HELD_BACK_FEWEST and high > HELD_BACK_OPEN:
        status = Status.INCONCLUSIVE
    return Check(
        name,
        status,
        chance.value,
        limit,
        unit,
        Interval(chance.low, chance.high),
        f"a request that finds others in flight beats a lone one by {short(margin_ms)} ms or more with chance "
        f"{chance.value:.0%} (medians {short(medians[1])} ms in company, {short(medians[0])} ms alone); {told}",
        "longer steps: --set step_s=…" if status is Status.INCONCLUSIVE else "",
        cause="static-batching" if status is Status.FAIL else "",
    )


def responsiveness_check(slow: NDArray[np.bool_], limit: float, slow_ms: float, errors: Errors) -> Check:
    """`slow`: which looks at the liveness page took over `slow_ms`, below saturation and while work was in flight."""
    name, unit = "responsiveness", "share"
    if not len(slow):
        why = "its liveness page was not seen while work was in flight"
        return cannot_tell(name, why, "name health.live in the target file", limit=limit, unit=unit)
    n, count = len(slow), int(np.count_nonzero(slow))
    # Looks are a quarter of a second apart and each waits for other work, so they count as independent.
    low, high = one_sided_bounds(count, n, errors.good)
    status = _below(limit, high, one_sided_bounds(count, n, errors.fail)[0])
    return Check(
        name,
        status,
        count / n,
        limit,
        unit,
        Interval(low, high),
        f"{count:,} of {n:,} looks at its liveness page, made below saturation while work was in "
        f"flight, took longer than {short(slow_ms)} ms",
        "longer steps, for more looks: --set step_s=…" if status is Status.INCONCLUSIVE else "",
        cause="blocked-event-loop" if status is Status.FAIL else "",
    )


def threads_check(runnable: Sequence[float] | NDArray[np.float64], cores: int, limit: float, errors: Errors) -> Check:
    """`runnable`: threads that ran or waited for a core, at instants under saturation."""
    name, unit = "threads_per_core", "threads"
    seen = np.asarray(runnable, dtype=np.float64) / max(1, cores)
    if len(seen) < 5:
        why = "its threads were not seen under load"
        return cannot_tell(name, why, "name its process: --set target.probe.pid=PID", limit=limit, unit=unit)
    low, high, fail_low = _mean_bounds(seen, errors)
    status = _below(limit, high, fail_low)
    return Check(
        name,
        status,
        float(seen.mean()),
        limit,
        unit,
        Interval(low, high),
        f"under load {short(float(seen.mean()) * cores)} of its threads at a time ran or waited for one of {cores} "
        f"core{'s' if cores != 1 else ''}",
        "a longer hold: --set hold_s=…" if status is Status.INCONCLUSIVE else "",
        cause="oversubscribed-threads" if status is Status.FAIL else "",
    )


def _below(limit: float, high: float, fail_low: float) -> Status:
    if fail_low > limit:
        return Status.FAIL
    return Status.PASS if high <= limit else Status.INCONCLUSIVE


def _mean_bounds(values: NDArray[np.float64], errors: Errors) -> tuple[float, float, float]:
    batches = min(10, len(values))
    size = len(values) // batches
    means = values[: size * batches].reshape(batches, size).mean(axis=1)
    error = max(float(means.std(ddof=1)), 0.02) / math.sqrt(batches)
    reach = [-float(special.stdtrit(batches - 1, alpha)) * error for alpha in (errors.good, errors.fail)]
    middle = float(values.mean())
    return middle - reach[0], middle + reach[0], middle - reach[1]


def _ruled(bad: NDArray[np.bool_], q: float, errors: Errors) -> Ruling:
    return holds(
        int(np.count_nonzero(bad)),
        len(bad),
        q,
        effect=design_effect(bad),
        confidence=1.0 - errors.good,
        alpha_fail=errors.fail,
    )


def _settle(ruling: Ruling) -> str:
    if ruling.status is not Status.INCONCLUSIVE:
        return ""
    return "a longer hold" if ruling.needs is None else f"about {ruling.needs:,} of them in all: longer steps and hold"


def _complement(share: Interval) -> Interval:
    return Interval(None if share.high is None else 1.0 - share.high, None if share.low is None else 1.0 - share.low)


def slow_look_ms(idle_ms: float, lone_service_ms: float, floor_ms: float, part: float) -> float:
    """A look at the liveness page is slow above this: it waited for work, not for its turn on a core."""
    return idle_ms + max(floor_ms, part * lone_service_ms)


def milliseconds(ns: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(ns / NS_PER_MS, dtype=np.float64)
