"""How one option stands against another: five outcomes, of which two are never green.

    worse           the whole interval lies beyond what matters and beyond what a target differs from itself,
                    and the signs of the pairs say so too
    better          the whole interval lies beyond what a target differs from itself, on the good side
    equivalent      the whole interval lies within what matters
    inconclusive    none of these: more pairs would settle it
    not comparable  there is nothing to compare by

All figures are logarithms of ratios, turned so that more is worse.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from proofload.analysis.pairs import Estimate, SignFlips, pairs_for
from proofload.errors import EXIT_FAIL, EXIT_NO_VERDICT, EXIT_PASS
from proofload.records import Status


class Standing(StrEnum):
    """How one option stands against another."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"
    NOT_COMPARABLE = "not-comparable"


GREEN = frozenset({Standing.BETTER, Standing.EQUIVALENT})


@dataclass(frozen=True, slots=True)
class Stakes:
    """What a comparison of one metric is judged by."""

    margin: float
    """The share by which it may be worse before that matters: 0.05 is 5 %."""
    floor: float
    """What a target differs from itself over so many pairs, as a logarithm."""
    alpha: float
    """The rate at which the interval may miss the truth."""
    signs_alpha: float
    """The chance that is left to the signs alone."""


@dataclass(frozen=True, slots=True)
class Stand:
    """One metric's outcome, and what would settle it where it is open."""

    standing: Standing
    because: str
    pairs_needed: int | None = None


def stand(found: Estimate | None, signs: SignFlips | None, stakes: Stakes) -> Stand:
    """Judge one metric. `signs` is None with fewer pairs than they can show anything by (SIGN_FLIPS_FROM)."""
    if found is None:
        return Stand(Standing.NOT_COMPARABLE, "too few pairs of valid lifetimes")
    margin = math.log1p(stakes.margin)
    bar = max(margin, stakes.floor)
    if found.low > bar and (signs is None or signs.above <= stakes.signs_alpha):
        return Stand(Standing.WORSE, f"all of the interval lies beyond {_named(margin, stakes.floor)}")
    if -margin < found.low and found.high < margin:
        return Stand(Standing.EQUIVALENT, "all of the interval lies within the margin")
    if found.high < -stakes.floor and (signs is None or signs.below <= stakes.signs_alpha):
        return Stand(
            Standing.BETTER, "all of the interval lies on the good side, beyond what a target differs from itself"
        )
    return _open(found, margin, bar, stakes)


def overall(required: Iterable[Standing], others: Iterable[Standing] = ()) -> Standing:
    """One outcome of several: what is worse anywhere is worse; green needs every required one to be green.

    `others` are told, and count only where they are worse: what these lifetimes cannot settle by their plan.
    """
    needed = set(required)
    if Standing.WORSE in needed | set(others):
        return Standing.WORSE
    if Standing.NOT_COMPARABLE in needed or not needed:
        return Standing.NOT_COMPARABLE
    if Standing.INCONCLUSIVE in needed:
        return Standing.INCONCLUSIVE
    return Standing.BETTER if Standing.BETTER in needed else Standing.EQUIVALENT


def by_verdict(baseline: Status | None, candidate: Status | None) -> Stand:
    """Two verdicts of the same scenario beside each other: each has its own error rates, and no interval joins them.

    None: there is no run. Two that pass both do what was asked; of two that fail, one may do so by far more.
    """
    seen = {baseline, candidate}
    if seen & {None, Status.INVALID}:
        return Stand(Standing.NOT_COMPARABLE, "not both were measured")
    if Status.INCONCLUSIVE in seen:
        return Stand(Standing.INCONCLUSIVE, "not both have a verdict")
    if seen == {Status.FAIL}:
        return Stand(Standing.INCONCLUSIVE, "both fail (one run of each does not say which by more)")
    if seen == {Status.PASS}:
        return Stand(Standing.EQUIVALENT, "both pass")
    if candidate is Status.PASS:
        return Stand(Standing.BETTER, "it passes where the baseline fails")
    return Stand(Standing.WORSE, "it fails where the baseline passes")


def exit_code(standings: Iterable[Standing]) -> int:
    """0 nothing is worse; 1 something is; 3 it cannot be told."""
    seen = set(standings)
    if Standing.WORSE in seen:
        return EXIT_FAIL
    return EXIT_PASS if seen and seen <= GREEN else EXIT_NO_VERDICT


def _open(found: Estimate, margin: float, bar: float, stakes: Stakes) -> Stand:
    """What is still possible, and how many pairs would tell, if things go on like this."""
    middle = found.value
    to_worse, to_same, to_better = middle - bar, margin - abs(middle), -middle - stakes.floor
    needed = pairs_for(found, reach=max(to_worse, to_same, to_better), alpha=stakes.alpha)
    if found.low > bar:
        return Stand(Standing.INCONCLUSIVE, "the interval is beyond the margin, but the pairs do not agree", needed)
    possible = [
        word
        for word, is_possible in (
            ("worse", found.high > margin),
            ("the same", found.low < margin and found.high > -margin),
            ("better", found.low < -margin),
        )
        if is_possible
    ]
    return Stand(Standing.INCONCLUSIVE, f"it may be {' or '.join(possible)}", needed)


def _named(margin: float, floor: float) -> str:
    return "the margin" if margin >= floor else "what a target differs from itself, which here is more than the margin"
