"""The figures of a result that are followed over nights: few, each with the side on which it is worse.

A procedure that is not named here is followed by its verdict alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from proofload.records import Result, Status
from proofload.report.sentences import measured_phase


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of one run. `low` and `high`: its interval, as far as it is known."""

    name: str
    value: float
    low: float | None
    high: float | None
    unit: str
    high_is_worse: bool


def figures_of(result: Result) -> tuple[Figure, ...]:
    """Those of a valid result; none of an invalid one. Only values above zero, and none that is merely a bound."""
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
        if found is not None and found.value is not None and not found.censored:
            yield Figure(name, found.value, found.interval.low, found.interval.high, "ms", high_is_worse=True)


def _capacity(result: Result) -> Iterator[Figure]:
    found = result.capacity
    if found is not None and found.rate_rps is not None and found.confirmed and not found.censored:
        yield Figure("capacity", found.rate_rps, found.interval.low, found.interval.high, "requests/s",
                     high_is_worse=False)  # fmt: skip


def _peak(result: Result) -> Iterator[Figure]:
    for check in result.checks:
        if check.name == "goodput_at_peak" and check.observed is not None:
            yield Figure("goodput at peak", check.observed, check.interval.low, check.interval.high,
                         "of the base's", high_is_worse=False)  # fmt: skip


def _cold_start(result: Result) -> Iterator[Figure]:
    ready = [life["ready_s"] for life in result.details.get("lives", ()) if life.get("ready_s") is not None]
    if ready:
        yield Figure("time to ready", float(median(ready)), None, None, "s", high_is_worse=True)


_BY_PROCEDURE: Mapping[str, Callable[[Result], Iterator[Figure]]] = {
    "load": _latency,
    "soak": _latency,
    "capacity": _capacity,
    "peak-10x": _peak,
    "cold-start": _cold_start,
}
