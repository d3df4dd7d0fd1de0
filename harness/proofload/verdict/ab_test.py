"""The decision of an A/B test, once at its end or at every look, from what the requests showed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis import confidence_sequence
from proofload.analysis.arm_difference import (
    Difference,
    Shown,
    as_medians,
    as_shares,
    difference,
    without_what_was_known,
)
from proofload.records import Status
from proofload.verdict.experiment import Direction, Ruling, ruled

FEWEST_LOOKED_AT = confidence_sequence.FEWEST_STRETCHES


@dataclass(frozen=True, slots=True)
class Question:
    """One metric, and what of it would matter."""

    margin: float
    direction: Direction
    alpha_fail: float
    alpha_pass: float
    medians: bool = False
    shares: bool = False
    """The values are 0 or 1."""
    before: NDArray[np.float64] | None = None
    """Users' means before the experiment, nan where a user was not seen; None: they foretell nothing."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was known after so many stretches of time."""

    stretches: int
    difference: Difference
    ruling: Ruling


def estimated(shown: Shown, question: Question) -> Difference:
    """The difference that the question is about."""
    if question.medians:
        shown = as_medians(shown)
    if question.before is not None:
        shown = without_what_was_known(shown, question.before)
    return difference(shown)


def at_the_end(shown: Shown, question: Question) -> Look:
    """One look, at the horizon that was planned: Student's t intervals."""
    found = estimated(shown, question)
    sides = 2.0 if question.direction == "same" else 1.0
    ruling = ruled(
        found.effect,
        found.bounds(question.alpha_fail / sides, question.alpha_fail / sides),
        _wary(found, question).bounds(question.alpha_pass, question.alpha_pass),
        margin=question.margin,
        direction=question.direction,
    )
    return Look(_count(shown), found, ruling)


def at_every_look(shown: Shown, question: Question) -> Iterator[Look]:
    """A look after each stretch of time, from the tenth on: the first that settles it may be the last."""
    order = np.argsort(shown.stretch, kind="stable")
    ordered = Shown(shown.values[order], shown.arm[order], shown.user[order], shown.stretch[order])
    total = _count(shown)
    ends = np.searchsorted(ordered.stretch, np.arange(1, total + 1))
    for stretches in range(FEWEST_LOOKED_AT, total + 1):
        end = int(ends[stretches - 1])
        part = Shown(ordered.values[:end], ordered.arm[:end], ordered.user[:end], ordered.stretch[:end])
        yield Look(stretches, *_looked(part, question))


def first_settled(shown: Shown, question: Question) -> Look | None:
    """The first look that settles it; the last one where none does; None where there is none."""
    last = None
    for last in at_every_look(shown, question):
        if last.ruling.status is not Status.INCONCLUSIVE:
            break
    return last


def looked_at_now(shown: Shown, question: Question) -> Look:
    """One look of a sequence: its bounds hold for all looks together."""
    return Look(_count(shown), *_looked(shown, question))


def _looked(shown: Shown, question: Question) -> tuple[Difference, Ruling]:
    found = estimated(shown, question)
    sides = 2.0 if question.direction == "same" else 1.0
    fail, usual = question.alpha_fail / sides, question.alpha_pass
    tau = question.margin
    ruling = ruled(
        found.effect,
        confidence_sequence.bounds(found, tau, fail, fail),
        confidence_sequence.bounds(_wary(found, question), tau, usual, usual),
        margin=question.margin,
        direction=question.direction,
    )
    return found, ruling


def _wary(found: Difference, question: Question) -> Difference:
    """For bounds that are to exclude harm, that which was not seen, too. Harm that is shown was seen, often."""
    return as_shares(found, question.margin) if question.shares else found


def _count(shown: Shown) -> int:
    return int(shown.stretch.max()) + 1 if len(shown.stretch) else 0
