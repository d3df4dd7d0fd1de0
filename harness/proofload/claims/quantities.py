"""From runs to one number with an interval: of a percentile, of the ratio of two, of a ratio of goodputs.

What counts is lifetimes of a server, not requests: lifetimes differ by more than the requests of one of them do. So
each lifetime gives one value, and the interval is Student's over their logarithms. Of two servers, each pair of
lifetimes gives one ratio: what drifts on the machine meets both. The truth lies outside in 1 of 100, simulated with 5 %
between lifetimes; it did in a quarter when seconds of two lifetimes were pooled as if they were independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean

import numpy as np

from proofload.analysis.goodput import goodput_blocks
from proofload.analysis.pairs import estimate
from proofload.claims import Measured
from proofload.claims.laboratory import Run, doubts
from proofload.clock import NS_PER_S
from proofload.records import Interval, Outcome
from proofload.report.numbers import short

CONFIDENCE = 0.99
UNKNOWN = Interval(None, None)


def over_lifetimes(values: Sequence[float | None], detail: str, doubted: tuple[str, ...] = ()) -> Measured:
    """Their geometric mean with its interval; no figure where one of them is unknown or not above zero.

    `values`: one of each lifetime, or of each pair of lifetimes. Fewer than three have no interval.
    """
    known = [value for value in values if value is not None and value > 0.0]
    if len(known) < len(values) or not known:
        return Measured(None, UNKNOWN, f"{detail}: too few answers in {len(values) - len(known)} of them", doubted)
    logs = [math.log(value) for value in known]
    found = estimate(logs, alpha=1.0 - CONFIDENCE, trimmed=False)
    if found is None:
        return Measured(math.exp(fmean(logs)), UNKNOWN, detail, doubted)
    return Measured(math.exp(found.value), Interval(math.exp(found.low), math.exp(found.high)), detail, doubted)


def ratios(above: Sequence[float | None], below: Sequence[float | None], *, unit: float = 1.0) -> list[float | None]:
    """above ÷ below, pair by pair, times `unit` (100 for per cent)."""
    return [unit * top / bottom if top and bottom else None for top, bottom in zip(above, below, strict=True)]


def percentile(runs: Sequence[Run], name: str, what: str) -> Measured:
    """A percentile of latency."""
    n = sum(run.summary.latency.n for run in runs)
    return over_lifetimes(_percentiles(runs, name), f"{what}: {n:,} answers in {lifetimes(runs)}", doubts(runs))


def latency_ratio(above: Sequence[Run], below: Sequence[Run], told: str, *, unit: float = 1.0) -> Measured:
    """p50 ÷ p50; `told` is filled with both: "HTTP {} and gRPC {}"."""
    tops, bottoms = _percentiles(above, "p50"), _percentiles(below, "p50")
    detail = f"{told.format(_told(tops, _milliseconds), _told(bottoms, _milliseconds))}, in {lifetimes(above)} each"
    return over_lifetimes(ratios(tops, bottoms, unit=unit), detail, doubts(above, below))


def goodput_ratio(above: Sequence[Run], below: Sequence[Run], told: str) -> Measured:
    """Correct answers a second ÷ correct answers a second, of servers that are offered more than they can do."""
    tops, bottoms = [_goodput(run) for run in above], [_goodput(run) for run in below]
    detail = f"{told.format(_told(tops, _a_second), _told(bottoms, _a_second))}, in {lifetimes(above)} each"
    return over_lifetimes(ratios(tops, bottoms), detail, doubts(above, below))


def lifetimes(runs: Sequence[Run]) -> str:
    """How many, in words."""
    return "1 lifetime" if len(runs) == 1 else f"{len(runs)} lifetimes"


def _percentiles(runs: Sequence[Run], name: str) -> list[float | None]:
    """Of each lifetime; a bound (where it falls into the timeouts) is no value."""
    found = [run.latency(name) for run in runs]
    return [None if one.censored else one.value for one in found]


def _goodput(run: Run) -> float | None:
    """The first second is left out: queues are filling."""
    table = run.samples.table
    done = np.sort(table["done_ns"][table["outcome"] == Outcome.OK])
    begin = run.phase.start_ns + NS_PER_S
    blocks = goodput_blocks(done, begin, run.phase.start_ns + round(run.phase.duration_s * NS_PER_S))
    return float(blocks.mean()) if len(blocks) else None


def _told(values: Sequence[float | None], form: Callable[[float], str]) -> str:
    middle = over_lifetimes(values, "").value
    return "unknown" if middle is None else form(middle)


def _milliseconds(value: float) -> str:
    return f"{short(value)} ms"


def _a_second(value: float) -> str:
    return f"{value:,.0f}/s"
