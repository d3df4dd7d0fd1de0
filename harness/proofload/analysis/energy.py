"""What correct predictions took in energy: a meter's readings laid over the answers of the same time.

A counter of joules is taken where there is one: it misses nothing between two readings. Else power is integrated by
trapezoids, over every stretch between two readings that are near enough to each other. Only answers that came within
these stretches are counted, so that nothing is made up for the ends of a phase, where nobody read.

The interval is of the ratio joules ÷ answers, by the jackknife over blocks of time (Miller 1974, "The jackknife: a
review"): how the consumption varied while it was measured. What a sensor gets wrong all the time is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from proofload.clock import NS_PER_S
from proofload.records import Interval

CONFIDENCE = 0.99
MOST_APART_S = 3.0
"""Readings of power further apart do not tell what was between them."""
LEAST_COVERED = 0.5
"""Of the measured time; with less, nothing is said."""
FEWEST_BLOCKS, MOST_BLOCKS = 5, 20
FEWEST_AT_REST = 3
SETTLED_S = 3.0
"""After load ends: until the clocks have come down, and the mean that some devices give has forgotten it."""


class Metered(Protocol):
    """Instants (ns), in order, and values of one reading."""

    @property
    def t_ns(self) -> NDArray[np.int64]: ...

    @property
    def values(self) -> NDArray[np.float64]: ...


@dataclass(frozen=True, slots=True)
class Consumption:
    """Joules and correct answers of the same stretches of time."""

    joules: float
    answers: int
    covered_s: float
    by: str
    """ "counter" or "power"."""
    interval: Interval
    """Of the joules for one answer."""

    @property
    def per_answer_j(self) -> float:
        return self.joules / self.answers

    @property
    def mean_w(self) -> float:
        return self.joules / self.covered_s


def consumption(
    counter: Metered | None, power: Metered | None, done_ns: NDArray[np.int64], *, start_ns: int, end_ns: int
) -> Consumption | None:
    """`counter` in joules, `power` in watts; `done_ns`: when each correct answer was complete, in any order.

    None where neither was read over half of the time from start to end, or where no answer came.
    """
    done = np.sort(done_ns)
    for by, stretches in (("counter", _counted(counter, start_ns, end_ns)), ("power", _held(power, start_ns, end_ns))):
        if stretches is None:
            continue
        found = _over(stretches, done, by)
        if found is not None and found.covered_s * NS_PER_S >= LEAST_COVERED * (end_ns - start_ns):
            return found
    return None


def power_at_rest(power: Metered | None, loads: list[tuple[int, int]]) -> float | None:
    """Median watts of the readings before, between and after the stretches of load (start and end in ns); None with too
    few of them."""
    if power is None:
        return None
    resting = np.ones(len(power.t_ns), dtype=np.bool_)
    for start_ns, end_ns in loads:
        resting &= (power.t_ns < start_ns) | (power.t_ns > end_ns + round(SETTLED_S * NS_PER_S))
    watts = power.values[resting]
    return float(np.median(watts)) if len(watts) >= FEWEST_AT_REST else None


@dataclass(frozen=True, slots=True)
class _Stretches:
    """Between neighbouring readings: from, to, joules."""

    begin_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    joules: NDArray[np.float64]


def _counted(counter: Metered | None, start_ns: int, end_ns: int) -> _Stretches | None:
    """None for a counter that was not read twice, or fell: it then began anew in between."""
    if counter is None:
        return None
    t_ns, values = _within(counter, start_ns, end_ns)
    joules = np.diff(values)
    if len(joules) == 0 or bool(np.any(joules < 0)) or float(joules.sum()) <= 0.0:
        return None
    return _Stretches(t_ns[:-1], t_ns[1:], joules)


def _held(power: Metered | None, start_ns: int, end_ns: int) -> _Stretches | None:
    if power is None:
        return None
    t_ns, values = _within(power, start_ns, end_ns)
    seconds = np.diff(t_ns) / NS_PER_S
    near = (seconds > 0) & (seconds <= MOST_APART_S)
    joules = (values[:-1] + values[1:]) / 2.0 * seconds
    if not near.any():
        return None
    return _Stretches(t_ns[:-1][near], t_ns[1:][near], joules[near])


def _within(series: Metered, start_ns: int, end_ns: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    inside = (series.t_ns >= start_ns) & (series.t_ns <= end_ns) & np.isfinite(series.values)
    return series.t_ns[inside], series.values[inside]


def _over(stretches: _Stretches, done: NDArray[np.int64], by: str) -> Consumption | None:
    before = np.searchsorted(done, stretches.begin_ns, side="right")
    answers = np.searchsorted(done, stretches.end_ns, side="right") - before
    total = int(answers.sum())
    if total == 0:
        return None
    return Consumption(
        joules=float(stretches.joules.sum()),
        answers=total,
        covered_s=float((stretches.end_ns - stretches.begin_ns).sum() / NS_PER_S),
        by=by,
        interval=_jackknife(stretches.joules, answers),
    )


def _jackknife(joules: NDArray[np.float64], answers: NDArray[np.int64]) -> Interval:
    """Of Σ joules ÷ Σ answers; open at both ends with too few blocks."""
    blocks = min(MOST_BLOCKS, len(joules))
    if blocks < FEWEST_BLOCKS:
        return Interval(None, None)
    edges = np.linspace(0, len(joules), blocks + 1).astype(np.int64)[:-1]
    energy, count = np.add.reduceat(joules, edges), np.add.reduceat(answers, edges)
    left = count.sum() - count
    if not left.all():
        return Interval(None, None)
    whole = energy.sum() / count.sum()
    without = (energy.sum() - energy) / left
    values = blocks * whole - (blocks - 1) * without
    middle, spread = float(values.mean()), float(values.std(ddof=1) / np.sqrt(blocks))
    reach = float(stats.t.ppf((1.0 + CONFIDENCE) / 2.0, blocks - 1)) * spread
    return Interval(max(0.0, middle - reach), middle + reach)
