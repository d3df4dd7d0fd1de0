"""The SLO, limit by limit, as three-valued checks with evidence in words.

A percentile limit is judged by counting what was over it (analysis/rule.py), an ok share by counting
what was not ok; both with the design effect, because requests of one run are not independent.
The error rate of a fail is shared by the checks (Bonferroni); a pass needs every check and no correction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.effective import design_effect
from proofload.analysis.percentiles import LEVEL, MIN_EXCEEDING, Level, tail_effect
from proofload.analysis.rule import Ruling, holds
from proofload.analysis.summary import due_since, latencies, outcome_counts
from proofload.clock import NS_PER_MS
from proofload.records import Check, Interval, Outcome, PhaseSummary, Samples, Status
from proofload.report.numbers import short

ALPHA_FAIL = 0.001
"""Chance of a false alarm, for a scenario as a whole."""
ALPHA_PASS = 0.01
"""Chance of passing what is worse than the limit."""
PERCENTILE_KEYS = {f"{name}_ms": name for name in LEVEL}
_PART = 10
"""A limit is also judged by the value that so small a part of what may exceed it did exceed."""
NOT_CHECKED = frozenset({"deadline_ms"})
"""Keys that shape outcomes (an answer after the deadline is late) and are no limit of their own."""


def slo_checks(
    summary: PhaseSummary,
    samples: Samples,
    slo: Mapping[str, float],
    *,
    cut_ns: int = 0,
    alpha_fail: float = ALPHA_FAIL,
    alpha_pass: float = ALPHA_PASS,
    answers_checked: bool = True,
    unchecked: Sequence[int] = (),
    timeout_s: float | None = None,
) -> tuple[Check, ...]:
    """One check per limit in `slo`, for one phase's samples (with the `cut_ns` that `summary` was made with).

    Keys p50_ms … p99_99_ms and ok_share are limits; wrong_share (default 0: none may be wrong) is one
    too, unless the payloads carry no expected answers (`answers_checked` False); payloads that alone carry none
    (`unchecked`) do not count there.
    """
    unknown = set(slo) - set(PERCENTILE_KEYS) - NOT_CHECKED - {"ok_share", "wrong_share"}
    if unknown:
        raise ValueError(f"not a limit of an SLO: {', '.join(sorted(unknown))}")
    measured = due_since(samples, cut_ns)
    limits = [key for key in PERCENTILE_KEYS if key in slo]
    count = len(limits) + ("ok_share" in slo) + answers_checked
    each_fail = alpha_fail / max(1, count)
    checks = []
    if limits:
        timed = _Timed.of(measured, timeout_s)
        checks = [
            _percentile(key, slo[key], summary, timed, alpha_fail=each_fail, alpha_pass=alpha_pass) for key in limits
        ]
    if "ok_share" in slo:
        checks.append(_ok_share(slo["ok_share"], measured, each_fail, alpha_pass))
    if answers_checked:
        comparable = measured.outcome
        if len(unchecked):
            comparable = comparable[~np.isin(measured.table["payload"], np.asarray(unchecked))]
        checks.append(_wrong_share(slo.get("wrong_share", 0.0), comparable, each_fail, alpha_pass))
    return tuple(checks)


@dataclass(frozen=True, slots=True)
class _Timed:
    """Latencies in due order, which of them are timeouts, and the same latencies sorted."""

    latency_ns: NDArray[np.int64]
    gave_up: NDArray[np.bool_]
    ordered: NDArray[np.int64]

    @staticmethod
    def of(samples: Samples, timeout_s: float | None) -> _Timed:
        latency_ns, gave_up = latencies(samples, timeout_s=timeout_s)
        return _Timed(latency_ns, gave_up, np.sort(latency_ns))


def _percentile(
    key: str, limit_ms: float, summary: PhaseSummary, timed: _Timed, /, *, alpha_fail: float, alpha_pass: float
) -> Check:
    level = LEVEL[PERCENTILE_KEYS[key]]
    n = len(timed.latency_ns)
    # How long a timeout would have taken is unknown, so it is over any limit.
    limit_ns = round(limit_ms * NS_PER_MS)
    over = (timed.latency_ns > limit_ns) | timed.gave_up
    effect = max(design_effect(over), tail_effect(timed.latency_ns, timed.ordered, level)) if n else 1.0
    count = int(np.count_nonzero(over))
    ruling = holds(count, n, level.q, effect=effect, confidence=1.0 - alpha_pass, alpha_fail=alpha_fail)
    if ruling.status is Status.INCONCLUSIVE:
        stricter = _further_out(ruling, count, timed, level, limit_ns=limit_ns, alpha=alpha_pass / 2.0)
        ruling, effect = stricter or (ruling, effect)
    quantile = summary.latency.quantiles[level.name]
    told = f"{count:,} of {n:,} answers ({_percent(ruling.share)}) took longer than {limit_ms:g} ms or never came"
    return Check(
        name=key.removesuffix("_ms"),
        status=ruling.status,
        observed=quantile.value,
        limit=limit_ms,
        unit="ms",
        interval=quantile.interval,
        evidence=f"{told}; {_percent(ruling.allowed)} may. {_bounds(ruling, effect)}" if n else "no answer to judge by",
        settle=_settle(ruling, n),
    )


def _further_out(
    open_still: Ruling, count: int, timed: _Timed, level: Level, *, limit_ns: int, alpha: float
) -> tuple[Ruling, float] | None:
    """A pass by a stricter limit, if there is one: the value that a tenth of what may exceed the limit did exceed.

    No more than what exceeds that value exceeds any limit above it. Where latencies of a millisecond wobble together,
    far below a limit, they say how much the answers near the percentile are worth, and nothing of those near the limit;
    further out that wobble fades. That value must be no more than half the limit: nearer, the wobble itself may carry
    answers over it.
    """
    n = len(timed.latency_ns)
    few = max(MIN_EXCEEDING, int(level.exceeding(n)) // _PART)
    if count > few or 2 * few > level.exceeding(n):
        return None
    further = Level(level.name, n - few, n)
    if 2 * timed.ordered[further.rank(n) - 1] > limit_ns:
        return None
    above = int(np.count_nonzero(timed.latency_ns > timed.ordered[further.rank(n) - 1]))
    effect = tail_effect(timed.latency_ns, timed.ordered, further)
    found = holds(above, n, level.q, effect=effect, confidence=1.0 - alpha)
    if found.status is not Status.PASS:
        return None
    return replace(found, share=count / n, interval=replace(open_still.interval, high=found.interval.high)), effect


def _ok_share(limit: float, measured: Samples, alpha_fail: float, alpha_pass: float) -> Check:
    outcome = measured.outcome
    due = outcome[outcome != Outcome.UNSENT]
    bad = due != Outcome.OK
    count, n = int(np.count_nonzero(bad)), len(due)
    effect = design_effect(bad) if n else 1.0
    ruling = holds(count, n, limit, effect=effect, confidence=1.0 - alpha_pass, alpha_fail=alpha_fail)
    kinds = ", ".join(
        f"{number:,} {name}"
        for name, number in outcome_counts(measured).items()
        if number and name not in {"ok", "unsent"}
    )
    told = f"{count:,} of {n:,} requests ({_percent(ruling.share)}) did not end ok" + (f" ({kinds})" if kinds else "")
    return Check(
        name="ok_share",
        status=ruling.status,
        observed=None if ruling.share is None else 1.0 - ruling.share,
        limit=limit,
        unit="share",
        interval=_complement(ruling.interval),
        evidence=f"{told}; {_percent(ruling.allowed)} may. {_bounds(ruling, effect)}" if n else "no request was sent",
        settle=_settle(ruling, n),
    )


def _wrong_share(limit: float, outcome: NDArray[np.uint8], alpha_fail: float, alpha_pass: float) -> Check:
    answered = outcome[(outcome == Outcome.OK) | (outcome == Outcome.WRONG) | (outcome == Outcome.LATE)]
    wrong = answered == Outcome.WRONG
    count, n = int(np.count_nonzero(wrong)), len(answered)
    effect = design_effect(wrong) if n else 1.0
    ruling = holds(count, n, 1.0 - limit, effect=effect, confidence=1.0 - alpha_pass, alpha_fail=alpha_fail)
    told = f"{count:,} of {n:,} answers ({_percent(ruling.share)}) differ from the expected one"
    return Check(
        name="wrong_share",
        status=ruling.status,
        observed=ruling.share,
        limit=limit,
        unit="share",
        interval=ruling.interval,
        evidence=f"{told}; {'none' if limit <= 0 else _percent(limit)} may. {_bounds(ruling, effect)}"
        if n
        else "no answer to judge by",
        settle=_settle(ruling, n),
    )


def _bounds(ruling: Ruling, effect: float) -> str:
    low, high = ruling.interval.low or 0.0, ruling.interval.high
    worth = "" if effect < 1.05 else f" Correlation makes them worth {ruling.effective_n:,.0f} independent ones."
    return f"The true share lies between {_percent(low)} and {_percent(high)}.{worth}"


def _settle(ruling: Ruling, n: int) -> str:
    if ruling.status is not Status.INCONCLUSIVE:
        return ""
    if n == 0:
        return "answers" if ruling.needs is None else f"at least {ruling.needs:,} answers"
    if ruling.needs is None:
        return "the share is too close to what is allowed for any run to settle it; change the limit or the load"
    return f"about {ruling.needs:,} answers in all (now {n:,}) if things go on like this"


def _complement(share: Interval) -> Interval:
    return Interval(
        None if share.high is None else 1.0 - share.high,
        None if share.low is None else 1.0 - share.low,
    )


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{short(100.0 * share)} %"
