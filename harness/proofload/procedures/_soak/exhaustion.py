"""A memory limit that was reached within the run: when, and for when the readings before that had foretold it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from proofload.procedures._soak.signals import Signal
from proofload.report import numbers
from proofload.verdict.soak import Rule, judge_growth

EARLIER = 0.5
"""The forecast knows only so much of the time until the limit was reached."""
_LEVEL = 5


@dataclass(frozen=True, slots=True)
class Foretold:
    """When the limit was to be reached, in seconds since the first phase began, by what was read until `by_s`."""

    by_s: float
    expected_s: float
    soonest_s: float
    latest_s: float


@dataclass(frozen=True, slots=True)
class Reached:
    """The target, or a process of it, was killed at its memory limit."""

    at_s: float
    """Seconds since the first phase began."""
    foretold: Foretold | None
    lived_on: bool = False
    """Only a process of it was killed."""


def foretold(whole: Signal, begin_s: float, at_s: float, rule: Rule, limit: float) -> Foretold | None:
    """By the first half of the readings between load's begin and the kill; None where they show no growth."""
    by_s = begin_s + EARLIER * (at_s - begin_s)
    early = whole.between(begin_s, by_s)
    growth = judge_growth(early.t_s, early.values, rule)
    if not growth.window_s or growth.growth <= 0:
        return None
    now_s, level = float(np.median(early.t_s[-_LEVEL:])), float(np.median(early.values[-_LEVEL:]))
    left = max(0.0, limit - level)
    per_s, low, high = (value / growth.window_s for value in (growth.growth, growth.low, growth.high))
    return Foretold(
        by_s=by_s,
        expected_s=now_s + left / per_s,
        soonest_s=now_s + (left / high if np.isfinite(high) else 0.0),
        latest_s=now_s + left / low if low > 0 else float("inf"),
    )


def reached_told(found: Reached, limit_told: str) -> str:
    """Without a full stop: "its memory limit of 256 MiB was reached after 36 s, and it was killed; …"."""
    who = "a process of it" if found.lived_on else "it"
    said = f"{limit_told} was reached after {numbers.seconds(found.at_s)}, and {who} was killed"
    early = found.foretold
    if early is None:
        return said
    latest = numbers.seconds(early.latest_s) if np.isfinite(early.latest_s) else "never"
    return (
        f"{said}; the readings of the first {numbers.seconds(early.by_s)} foretold {numbers.seconds(early.expected_s)} "
        f"({numbers.seconds(early.soonest_s)}–{latest})"
    )
