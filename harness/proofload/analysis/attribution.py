"""Does a quantity grow with every request, or with time? Told from growth at two rates and in an idle stretch.

Growth per second is taken as a + b · rate. A quantity that grows by requests stands still when idle and
grows in proportion; one that grows by time goes on in the idle stretch as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from proofload.analysis.trend import Slope

By = Literal["request", "time", "both", "unknown"]
LITTLE = 0.25
MUCH = 0.6


@dataclass(frozen=True, slots=True)
class Stretch:
    """Growth (units per second) while requests came at a rate; 0: none came."""

    rate_rps: float
    slope: Slope


@dataclass(frozen=True, slots=True)
class Attribution:
    """`per_request` in units a request, `per_second` in units a second; None where it cannot be told."""

    by: By
    per_request: float | None = None
    per_second: float | None = None
    why: str = ""


def attribute(main: Stretch, others: Sequence[Stretch]) -> Attribution:
    """`main` must grow for certain. `others`: an idle stretch (rate 0) and one at another rate, any of them."""
    if main.slope.value <= 0 or main.rate_rps <= 0:
        return Attribution("unknown", why="it does not grow")
    parts = [_part_by_time(main, other) for other in others]
    known = [part for part in parts if part is not None]
    if not known:
        return Attribution("unknown", why="there was no stretch at another rate to compare with")
    low, high = max(part[0] for part in known), min(part[1] for part in known)
    if low > high:
        return Attribution("unknown", why="the stretches contradict each other")
    if high <= LITTLE + 0.15 and low <= LITTLE:
        return Attribution("request", per_request=main.slope.value / main.rate_rps)
    if low >= MUCH:
        return Attribution("time", per_second=main.slope.value)
    if low > LITTLE and high < MUCH + 0.15:
        part = (low + high) / 2
        return Attribution("both", main.slope.value * (1 - part) / main.rate_rps, main.slope.value * part)
    return Attribution("unknown", why="the other stretches were too short to tell")


def _part_by_time(main: Stretch, other: Stretch) -> tuple[float, float] | None:
    """Bounds of the part of the main stretch's growth that is owed to time: its share a / (a + b · rate)."""
    portion = other.rate_rps / main.rate_rps
    if portion >= 0.9:
        return None
    low = (other.slope.low / main.slope.value - portion) / (1 - portion)
    high = (other.slope.high / main.slope.value - portion) / (1 - portion)
    return low, high
