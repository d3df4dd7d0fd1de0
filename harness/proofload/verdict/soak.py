"""Does a resource grow without end? The rule, on one series of readings; times in seconds, any unit of value.

The margin is the growth over the judged window that would matter. It fails only what grows by more than
that for certain, goes on growing to the end as fast as before, and never gave back what it took; it
passes what for certain grows by less, one granule of an allocator counted on top. What rises and falls in
cycles is judged by its troughs and peaks. Rates of error: see selftest/trials/soak_memory.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from proofload.analysis.cycles import Cycles, cycles
from proofload.analysis.trend import (
    FEWEST_BLOCKS,
    SETTLING,
    Column,
    Slope,
    block_means,
    deepest_fall,
    latter,
    settled,
    slope,
    stepless,
)
from proofload.records import Status

STEP = 0.5
"""A step that is taken out is at least so much of the margin."""
STEADY = 0.6
"""The last third must grow at least so much of the whole's slope,"""
STILL = 0.5
"""and the last sixth could."""
FALL = 0.25
"""What gave back more than this share of its range, after the first tenth of the run, does not leak: it fills and
empties."""
EARLY = 0.1
LEAST_READINGS = 12
MANY_STEPS = 2
_ALPHA_LATE = 0.01


@dataclass(frozen=True, slots=True)
class Rule:
    """What would matter, and how sure one must be."""

    margin: float
    """Growth over the judged window (the settled part of the run)."""
    granule: float = 0.0
    """What an allocator takes at a time: growth of so much in the window is no growth."""
    alpha_fail: float = 1e-4
    alpha_pass: float = 0.01


@dataclass(frozen=True, slots=True)
class Growth:
    """What the rule says of one series. Growth and bounds are over `window_s`, in units of the series."""

    status: Status
    why: str
    window_s: float
    growth: float
    low: float
    high: float
    steps: int = 0
    stepped: float = 0.0
    """The sum of the steps upwards that were taken out."""
    cycles: int = 0


def judge_growth(t: Column, y: Column, rule: Rule) -> Growth:
    """Judge one whole series, its beginning included: the first quarter settles and is left out here. Readings that
    are no finite number, or a second one of an instant, are dropped."""
    known = np.isfinite(t) & np.isfinite(y)
    t, first = np.unique(t[known], return_index=True)
    y = y[known][first]
    late_t, late_y = settled(t, y, SETTLING)
    if len(late_t) < LEAST_READINGS:
        return Growth(Status.INCONCLUSIVE, "too few readings", 0.0, 0.0, -np.inf, np.inf)
    window = float(late_t[-1] - late_t[0])
    plain = stepless(late_t, late_y, STEP * rule.margin)
    whole = _of(late_t, plain.values, rule)
    if len(whole.blocks) < FEWEST_BLOCKS:
        return Growth(Status.INCONCLUSIVE, "too few readings", window, 0.0, -np.inf, np.inf)
    found = whole.slope
    stepped = float(plain.steps.sum())
    status, why = _ruled(Series(late_t, plain.values), found, rule, fell=deepest_fall(settled(t, y, EARLY)[1]))
    told = found
    rounds: Cycles | None = None
    if status is Status.INCONCLUSIVE and (rounds := cycles(t, y)) is not None:
        told = Slope(found.value, max(rounds.low, -abs(found.low)), rounds.high)
        if rounds.high * window + rule.granule < rule.margin:
            status, why = Status.PASS, f"it rises and falls; {rounds.falls} troughs and peaks bound what lies below"
    if status is Status.PASS and _climbs(plain.at, len(late_y)) and stepped + found.value * window > rule.margin:
        status, why = Status.INCONCLUSIVE, f"it grew in {len(plain.steps)} steps"
    return Growth(
        status=status,
        why=why,
        window_s=window,
        growth=found.value * window,
        low=told.low * window,
        high=told.high * window,
        steps=len(plain.steps),
        stepped=stepped,
        cycles=rounds.falls if rounds is not None else 0,
    )


@dataclass(frozen=True, slots=True)
class Series:
    """Instants and values."""

    t: Column
    y: Column

    def last(self, part: float, alpha: float = _ALPHA_LATE) -> Slope:
        """The slope of the last part."""
        return slope(*block_means(*latter(self.t, self.y, part)), alpha_low=alpha, alpha_high=alpha)


@dataclass(frozen=True, slots=True)
class _Blocked:
    slope: Slope
    blocks: Column


def _of(t: Column, y: Column, rule: Rule) -> _Blocked:
    block_t, block_y = block_means(t, y)
    return _Blocked(slope(block_t, block_y, alpha_low=rule.alpha_fail, alpha_high=rule.alpha_pass), block_y)


def _ruled(late: Series, found: Slope, rule: Rule, *, fell: float) -> tuple[Status, str]:
    """`late`: the settled part without steps; `found`: its slope; `fell`: its deepest fall as a share of the range."""
    window = float(late.t[-1] - late.t[0])
    margin = rule.margin / window
    if found.low > margin:
        third, sixth = (late.last(part) for part in (1 / 3, 1 / 6))
        if third.value < max(STEADY * found.value, margin) or sixth.high < STILL * found.value:
            return Status.INCONCLUSIVE, "it grew, and less towards the end"
        if fell > FALL:
            return Status.INCONCLUSIVE, "it grew, and gave back in between"
        return Status.FAIL, "it grows steadily, to the end"
    if found.high * window + rule.granule < rule.margin:
        return Status.PASS, "it does not grow by what would matter"
    half = late.last(0.5, rule.alpha_pass)
    if half.high * window / 2 + rule.granule < rule.margin / 2:
        return Status.PASS, "it grew at first, and has stopped"
    return Status.INCONCLUSIVE, "it may grow by what would matter, or not"


def _climbs(steps_at: np.ndarray[tuple[int], np.dtype[np.int64]], readings: int) -> bool:
    """Were there several steps, not all of them early?"""
    return len(steps_at) > MANY_STEPS and bool((steps_at > readings // 2).sum() >= 1)
