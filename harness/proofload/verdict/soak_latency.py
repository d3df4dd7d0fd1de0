"""Do answers get slower as the process ages? Growth within the run, never projected.

The trend is Theil and Sen's, in milliseconds, and in log(p + c/s), which tames a tail that scatters: that a
percentile p grows by a share s and an offset c is a growth of it by log(1 + s). Either may show it. A tail that
scatters too much for a trend may still be shown not to have grown by counting: in the last third at most the
percentile's share of requests may take longer than the first half's percentile and half of the growth allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.rule import holds
from proofload.analysis.trend import Column, latter, slope
from proofload.records import Status

STEADY = 0.5
"""The later half must grow at least so much of the whole's slope."""
FEWEST_CELLS = 8
FEWEST_EACH = 20


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much a percentile may grow within the run."""

    name: str
    q: float
    share: float
    offset_ms: float

    def grown(self, ms: float, part: float = 1.0) -> float:
        return ms + part * (self.share * ms + self.offset_ms)


P50 = Allowance("p50", 0.5, 0.25, 1.0)
P99 = Allowance("p99", 0.99, 0.5, 5.0)


@dataclass(frozen=True, slots=True)
class Creep:
    """Growth of one percentile over the judged window, in ms; the bounds are one-sided."""

    status: Status
    why: str
    start_ms: float
    """Where the trend begins."""
    growth_ms: float
    low_ms: float
    high_ms: float
    allowed_ms: float


def judge_creep(
    t: Column,
    percentiles_ms: Column,
    allowance: Allowance,
    *,
    later: Sequence[tuple[int, int]] = (),
    alpha_fail: float,
    alpha_pass: float,
) -> Creep:
    """Judge the cells of the settled window (middles and percentiles, in order of time, all of one length).

    `later`: for each cell of the last third (slow requests, timed requests), slow as `slow_limit_ms` says; empty:
    judge by the trend alone.
    """
    known = np.isfinite(percentiles_ms)
    t, percentiles_ms = t[known], percentiles_ms[known]
    if len(t) < FEWEST_CELLS:
        return Creep(Status.INCONCLUSIVE, "too few answers", np.nan, np.nan, -np.inf, np.inf, np.nan)
    window = float(t[-1] - t[0]) * len(t) / (len(t) - 1)
    each = alpha_pass / 3  # three ways to pass share the error rate, and two ways to fail do
    alpha_fail /= 2
    plain = slope(t, percentiles_ms, alpha_low=alpha_fail, alpha_high=each)
    at_first = float(np.median(percentiles_ms - plain.value * (t - t[0]))) - plain.value * window / len(t) / 2
    start = max(float(percentiles_ms.min()), at_first)
    allowed = allowance.grown(start) - start
    shift = allowance.offset_ms / allowance.share
    tamed = slope(t, np.log(percentiles_ms + shift), alpha_low=alpha_fail, alpha_high=each)
    tamed_margin = np.log1p(allowance.share)
    status, why = Status.INCONCLUSIVE, "it may have grown by what would matter, or not"
    if plain.low * window > allowed or tamed.low * window > tamed_margin:
        late = slope(*latter(t, percentiles_ms, 0.5), alpha_low=0.01, alpha_high=0.01)
        if late.value >= STEADY * plain.value:
            status, why = Status.FAIL, "it grows steadily"
        else:
            why = "it grew, and less towards the end"
    elif min(plain.high * window / allowed, tamed.high * window / tamed_margin) < 1.0:
        status, why = Status.PASS, "it did not grow by what would matter"
    elif later and _few_slow(later, allowance.q, each):
        status, why = Status.PASS, "no more requests are slow in the last third than in the first half"
    return Creep(
        status=status,
        why=why,
        start_ms=start,
        growth_ms=plain.value * window,
        low_ms=plain.low * window,
        high_ms=plain.high * window,
        allowed_ms=allowed,
    )


def slow_limit_ms(earlier_ms: Column, allowance: Allowance) -> float:
    """Above this a request of the last third is slow; `earlier_ms`: the percentile in the cells of the first half."""
    known = earlier_ms[np.isfinite(earlier_ms)]
    return allowance.grown(float(np.median(known)), 0.5) if len(known) else float("nan")


def _few_slow(later: Sequence[tuple[int, int]], q: float, alpha_pass: float) -> bool:
    slow = np.array([pair[0] for pair in later], float)
    timed = np.array([pair[1] for pair in later], float)
    if timed.min() < FEWEST_EACH:
        return False
    return (
        holds(int(slow.sum()), int(timed.sum()), q, effect=_effect(slow, timed), confidence=1 - alpha_pass).status
        is Status.PASS
    )


def _effect(hits: NDArray[np.float64], of: NDArray[np.float64]) -> float:
    """Design effect of a share from its batches."""
    share = hits.sum() / of.sum()
    if not 0.0 < share < 1.0:
        return 1.0
    variance = float(np.var(hits / of, ddof=1))
    return max(1.0, float(np.mean(of) * variance / (share * (1.0 - share))))


@dataclass(frozen=True, slots=True)
class MoreFailures:
    """Shares of requests that did not end ok, early and late in the judged window."""

    status: Status
    early: float
    late: float
    low: float
    high: float
    """Bounds of the growth."""


def judge_failures(
    early: Sequence[tuple[int, int]],
    late: Sequence[tuple[int, int]],
    allowed: float,
    *,
    alpha_fail: float,
    alpha_pass: float,
) -> MoreFailures:
    """Did the share of failures grow by more than `allowed`? (failed, due) in batches of the first and last third."""
    before = _share(early, alpha_pass / 2, alpha_fail / 2)  # of its bounds the other one speaks for a fail
    after = _share(late, alpha_fail / 2, alpha_pass / 2)
    if before is None or after is None:
        return MoreFailures(Status.INCONCLUSIVE, np.nan, np.nan, -1.0, 1.0)
    low, high = after.low - before.high, after.high - before.low
    status = Status.FAIL if low > allowed else Status.PASS if high < allowed else Status.INCONCLUSIVE
    return MoreFailures(status, before.share, after.share, low, high)


@dataclass(frozen=True, slots=True)
class _Share:
    share: float
    low: float
    high: float


def _share(batches: Sequence[tuple[int, int]], alpha_low: float, alpha_high: float) -> _Share | None:
    bad = np.array([pair[0] for pair in batches], float)
    of = np.array([pair[1] for pair in batches], float)
    n = int(of.sum())
    if n == 0 or len(batches) < 2:
        return None
    effect = _effect(bad, np.maximum(of, 1.0))
    found = holds(int(bad.sum()), n, 0.5, effect=effect, confidence=1 - alpha_high, alpha_fail=alpha_low)
    assert found.share is not None
    return _Share(
        found.share, found.interval.low or 0.0, found.interval.high if found.interval.high is not None else 1.0
    )


__all__ = [
    "P50",
    "P99",
    "Allowance",
    "Creep",
    "MoreFailures",
    "judge_creep",
    "judge_failures",
    "slow_limit_ms",
]
