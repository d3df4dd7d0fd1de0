"""Each resource of a soak, judged: growth, how near its limit it came, what would have been seen, per what it grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proofload.analysis.attribution import Attribution, Stretch, attribute
from proofload.analysis.smallest import smallest_found
from proofload.analysis.trend import SETTLING, Column, Slope, settled, stepless, widest_gap
from proofload.procedures._soak.exhaustion import Reached
from proofload.procedures._soak.signals import Signal
from proofload.records import Status
from proofload.verdict.soak import LEAST_READINGS, STEP, Growth, Rule, judge_growth

NEAR = 0.9
"""So much of a limit is as good as reached."""
WIDEST_GAP = 1 / 6
"""A longer part of the window without readings could hide anything."""
FEWEST_READINGS = 3
_DOUBT = 4.0
"""Standard errors; twice what independent readings would need, as readings are correlated."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the run, in seconds since the first phase began, and the rate at which requests came."""

    begin_s: float
    end_s: float
    rate_rps: float

    @property
    def settled_s(self) -> float:
        """When what a target holds is taken to have settled."""
        return self.begin_s + SETTLING * (self.end_s - self.begin_s)


@dataclass(frozen=True, slots=True)
class Course:
    """The stretches of a run. The first phase began at `start_ns`."""

    start_ns: int
    main: Span
    others: Sequence[Span]


@dataclass(frozen=True, slots=True)
class Judged:
    """What a soak says of one resource. Rates are per second."""

    signal: Signal
    """During the main stretch."""
    whole: Signal
    """During the whole run."""
    growth: Growth
    rule: Rule
    rate_rps: float
    limit: float | None = None
    """Where it ends, in the unit of the signal."""
    limit_told: str = ""
    of_limit: float | None = None
    """The largest share of its limit that was seen."""
    missing: str = ""
    """Why it could not be judged: readings are missing."""
    smallest: float | None = None
    """The smallest growth that this run would have failed in 19 of 20 cases."""
    attribution: Attribution = Attribution("unknown")  # noqa: RUF009  frozen
    reached: Reached | None = None
    """The limit was reached, and ended the main stretch."""

    @property
    def status(self) -> Status:
        if self.reached is not None or (self.of_limit is not None and self.of_limit >= NEAR):
            return Status.FAIL
        return Status.INCONCLUSIVE if self.missing else self.growth.status

    @property
    def per_s(self) -> Slope:
        """Growth per second with its bounds."""
        window = self.growth.window_s or 1.0
        return Slope(self.growth.growth / window, self.growth.low / window, self.growth.high / window)

    def exhausted_s(self) -> tuple[float, float, float] | None:
        """Seconds from the end of the main stretch until its limit is reached: (expected, soonest, latest)."""
        if self.limit is None or self.status is not Status.FAIL or self.per_s.value <= 0 or self.missing:
            return None
        if self.reached is not None:
            return None
        left = max(0.0, self.limit - float(np.median(self.signal.values[-5:])))
        rate = self.per_s
        latest = left / rate.low if rate.low > 0 else float("inf")
        return left / rate.value, left / rate.high if np.isfinite(rate.high) else 0.0, latest


def judged(
    whole: Signal,
    main: Span,
    others: Sequence[Span],
    rule: Rule,
    *,
    limit: float | None = None,
    limit_told: str = "",
    of_limit: float | None = None,
    reached: Reached | None = None,
) -> Judged:
    """`rule`'s margin is the growth over the settled part of the main stretch that would matter."""
    signal = whole.between(main.begin_s, main.end_s)
    growth = judge_growth(signal.t_s, signal.values, rule)
    missing = _missing(whole, main)
    grows = growth.low > 0 and not missing
    return Judged(
        signal=signal,
        whole=whole,
        growth=growth,
        rule=rule,
        rate_rps=main.rate_rps,
        limit=limit,
        limit_told=limit_told,
        of_limit=of_limit,
        reached=reached,
        missing=missing,
        smallest=None if missing else _smallest(signal, growth, rule),
        attribution=_attributed(whole, growth, rule, main, others)
        if grows
        else Attribution("unknown", why="it does not grow"),
    )


def _missing(whole: Signal, main: Span) -> str:
    begin = main.settled_s
    inside = int(((whole.read_s >= begin) & (whole.read_s <= main.end_s)).sum())
    if inside < LEAST_READINGS:
        return f"{inside} readings are too few"
    gap = widest_gap(whole.read_s, begin, main.end_s)
    if gap > WIDEST_GAP:
        return f"for {gap:.0%} of the judged time on end nothing was read"
    return ""


def _smallest(signal: Signal, growth: Growth, rule: Rule) -> float | None:
    if growth.cycles or not growth.window_s:
        return None
    late_t, late_y = settled(signal.t_s, signal.values)
    return smallest_found(
        signal.t_s,
        stepless(late_t, late_y, STEP * rule.margin).values,
        late_t,
        lambda t, y: judge_growth(t, y, rule).status is Status.FAIL,
        start=rule.margin / growth.window_s,
    )


def _attributed(whole: Signal, growth: Growth, rule: Rule, main: Span, others: Sequence[Span]) -> Attribution:
    window = growth.window_s
    rate = Slope(growth.growth / window, growth.low / window, growth.high / window)
    steady = whole.between(main.begin_s, main.end_s)
    late = settled(steady.t_s, steady.values)
    scatter = stepless(*late, STEP * rule.margin).values - rate.value * late[0]
    spread = 1.4826 * float(np.median(np.abs(scatter - np.median(scatter))))
    stretches = []
    for other in others:
        part = whole.between(other.begin_s, other.end_s)
        if len(np.unique(part.t_s)) >= FEWEST_READINGS:
            stretches.append(Stretch(other.rate_rps, _short_slope(part.t_s, part.values, spread)))
    return attribute(Stretch(main.rate_rps, rate), stretches)


def _short_slope(t: Column, y: Column, spread: float) -> Slope:
    """By least squares, with the scatter of the long stretch: a few readings do not know their own."""
    centred = t - t.mean()
    weight = float(np.sum(centred**2))
    value = float(np.sum(centred * y)) / weight
    doubt = _DOUBT * spread / float(np.sqrt(weight))
    return Slope(value, value - doubt, value + doubt)
