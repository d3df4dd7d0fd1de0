"""The figures of a result that are followed over nights: few, each with the side on which it is worse.

A procedure that is not named here is followed by its verdict alone. Where a result only bounds a figure from its good
side (a percentile among the timeouts, no goodput at all), the bound stands for it: a course must not end just where it
collapses. A bound that is the client's is no figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from proofload.records import Result, Status
from proofload.report.sentences import measured_phase

LEAST_GOODPUT = 0.01
"""Of the base's: less than this is told as at most this, zero included, since courses are compared by ratios."""
Bound = Literal["", "at least", "at most"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of one run. `low` and `high`: its interval, as far as it is known; `bound`: `value` is only that."""

    name: str
    value: float
    low: float | None
    high: float | None
    unit: str
    high_is_worse: bool
    bound: Bound = ""


@dataclass(frozen=True, slots=True)
class Typical:
    """The median of a figure over so many nights; `bound`: it fell on one."""

    value: float
    nights: int
    bound: Bound

    @staticmethod
    def of(figures: Sequence[Figure]) -> Typical:
        middle = sorted(figures, key=lambda figure: figure.value)[len(figures) // 2]
        value = math.exp(median(math.log(figure.value) for figure in figures))
        return Typical(value, len(figures), middle.bound)


def figures_of(result: Result) -> tuple[Figure, ...]:
    """Those of a valid result; none of an invalid one. Values are above zero."""
    if result.status is Status.INVALID:
        return ()
    found = _BY_PROCEDURE.get(result.procedure, _nothing)(result)
    return tuple(figure for figure in found if figure.value > 0.0)


def _nothing(_result: Result) -> Iterator[Figure]:
    return iter(())


def _latency(result: Result) -> Iterator[Figure]:
    phase = measured_phase(result)
    if phase is None:
        return
    for name in ("p50", "p99"):
        found = phase.latency.quantiles.get(name)
        if found is not None and found.value is not None:
            yield Figure(name, found.value, found.interval.low, found.interval.high, "ms", high_is_worse=True,
                         bound="at least" if found.censored else "")  # fmt: skip


def _capacity(result: Result) -> Iterator[Figure]:
    found = result.capacity
    if found is None or found.censored == "client":
        return
    rate, low, high = found.rate_rps, found.interval.low, found.interval.high
    if rate is not None and found.confirmed:
        yield Figure("capacity", rate, low, high, "requests/s", high_is_worse=False,
                     bound="at least" if found.censored else "")  # fmt: skip
    elif rate is None and high is not None:  # it holds nothing that was tried, and was shown not to hold this
        yield Figure("capacity", high, None, None, "requests/s", high_is_worse=False, bound="at most")


def _peak(result: Result) -> Iterator[Figure]:
    for check in result.checks:
        if check.name == "goodput_at_peak" and check.observed is not None:
            yield Figure("goodput at peak", max(check.observed, LEAST_GOODPUT), check.interval.low, check.interval.high,
                         "of the base's", high_is_worse=False,
                         bound="at most" if check.observed < LEAST_GOODPUT else "")  # fmt: skip


def _cold_start(result: Result) -> Iterator[Figure]:
    """A life that never was ready counts as the slowest."""
    lives = [life.get("ready_s") for life in result.details.get("lives", ())]
    ready = [math.inf if seconds is None else float(seconds) for seconds in lives]
    if ready and math.isfinite(middle := median(ready)):
        yield Figure("time to ready", middle, None, None, "s", high_is_worse=True)


_BY_PROCEDURE: Mapping[str, Callable[[Result], Iterator[Figure]]] = {
    "load": _latency,
    "soak": _latency,
    "capacity": _capacity,
    "peak-10x": _peak,
    "cold-start": _cold_start,
}
