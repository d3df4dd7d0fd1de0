"""What an A/B test says: better, worse, no difference beyond the margin, or nothing yet.

Harm is the difference in the bad direction. Worse: the harm's lower bound is above the margin. Everything else that
is settled has its upper bound below the margin: better where that bound is below no difference at all; no difference
where the other bound is within the margin, too; not worse otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from proofload.records import Status

Direction = Literal["higher", "lower", "same"]
"""Which values are better; "same": any difference is harm."""
Saying = Literal["better", "worse", "no difference", "not worse", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Ruling:
    """Bounds are of the difference, canary less baseline."""

    saying: Saying
    status: Status
    effect: float
    low: float
    high: float
    margin: float


def rule(effect: float, low: float, high: float, *, margin: float, direction: Direction) -> Ruling:
    """From a difference and its one-sided bounds. Unknown bounds are infinite."""
    saying = _saying(low, high, margin, direction)
    status = {"worse": Status.FAIL, "inconclusive": Status.INCONCLUSIVE}.get(saying, Status.PASS)
    return Ruling(saying, status, effect, low, high, margin)


def ruled(
    effect: float,
    strict: tuple[float, float],
    usual: tuple[float, float],
    *,
    margin: float,
    direction: Direction,
) -> Ruling:
    """As `rule`, with bounds at the rate of a fail (`strict`) and at that of a pass (`usual`)."""
    worse = rule(effect, *strict, margin=margin, direction=direction)
    if worse.saying == "worse":
        return worse
    milder = rule(effect, *usual, margin=margin, direction=direction)
    if milder.saying == "worse":
        return Ruling("inconclusive", Status.INCONCLUSIVE, effect, *usual, margin)
    return milder


def three_figures(margin: float) -> float:
    """A margin that was worked out, as it is told and applied."""
    return float(f"{margin:.3g}")


def split_ruling(users: Sequence[int], share: float, *, alpha: float) -> tuple[Status, float]:
    """Were users (or requests) assigned as asked? Exact binomial test of the canary's count; fail below `alpha`. Of so
    few that no count could be below it, nothing is known."""
    total = int(sum(users))
    if not total:
        return Status.INCONCLUSIVE, float("nan")
    chance = float(stats.binomtest(int(users[1]), total, share).pvalue)
    if chance < alpha:
        return Status.FAIL, chance
    least = min(stats.binomtest(count, total, share).pvalue for count in (0, total))
    return (Status.PASS if least < alpha else Status.INCONCLUSIVE), chance


def _saying(low: float, high: float, margin: float, direction: Direction) -> Saying:
    if not (np.isfinite(low) and np.isfinite(high)):
        return "inconclusive"
    if direction == "same":
        if low > margin or high < -margin:
            return "worse"
        return "no difference" if low > -margin and high < margin else "inconclusive"
    least, most = (low, high) if direction == "lower" else (-high, -low)  # of the harm
    if least > margin:
        return "worse"
    if most >= margin:
        return "inconclusive"
    if most < 0.0:
        return "better"
    return "no difference" if least > -margin else "not worse"
