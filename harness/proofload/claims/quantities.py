"""From runs to one number with an interval: of a percentile, of the ratio of two, of a ratio of goodputs.

Lifetimes of a server differ by more than the requests of one of them do, and an experiment has few: so an interval is
the hull of what each lifetime allows, which is wider than any pooling would make it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from proofload.analysis.goodput import goodput_blocks, ratio_of_means
from proofload.claims import Measured
from proofload.claims.laboratory import Run, doubts
from proofload.clock import NS_PER_S
from proofload.records import Interval, Outcome, Quantile

CONFIDENCE = 0.99
UNKNOWN = Interval(None, None)


def hull(values: Sequence[Quantile]) -> tuple[float | None, Interval]:
    """(geometric mean of the values, the hull of their intervals); None where one of them is unknown."""
    known = [one.value for one in values if one.value is not None]
    if len(known) < len(values) or not known:
        return None, UNKNOWN
    lows = [one.interval.low for one in values if one.interval.low is not None]
    highs = [one.interval.high for one in values if one.interval.high is not None]
    return math.exp(sum(map(math.log, known)) / len(known)), Interval(
        min(lows) if len(lows) == len(values) else None, max(highs) if len(highs) == len(values) else None
    )


def percentile(runs: Sequence[Run], name: str, what: str) -> Measured:
    """A percentile of latency over all lifetimes."""
    value, interval = hull([run.latency(name) for run in runs])
    n = sum(run.summary.latency.n for run in runs)
    if value is None:
        return Measured(None, UNKNOWN, f"{n:,} answers are too few for {name} of {what}", doubts(runs))
    return Measured(value, interval, f"{what}: {n:,} answers in {_lifetimes(runs)}", doubts(runs))


def ratio_of(
    above: Sequence[Quantile], below: Sequence[Quantile], detail: str, doubted: tuple[str, ...], *, unit: float = 1.0
) -> Measured:
    """above ÷ below, times `unit` (100 for per cent)."""
    top, up = hull(above)
    bottom, down = hull(below)
    if top is None or bottom is None:
        return Measured(None, UNKNOWN, f"too few answers ({detail})", doubted)
    low = None if up.low is None or down.high is None else unit * up.low / down.high
    high = None if up.high is None or not down.low else unit * up.high / down.low
    return Measured(unit * top / bottom, Interval(low, high), detail, doubted)


def latency_ratio(above: Sequence[Run], below: Sequence[Run], told: str, *, unit: float = 1.0) -> Measured:
    """p50 ÷ p50; `told` is filled with both: "HTTP {} and gRPC {}"."""
    tops, bottoms = [run.latency("p50") for run in above], [run.latency("p50") for run in below]
    detail = f"{told.format(_ms(tops), _ms(bottoms))}, in {_lifetimes(above)} each"
    return ratio_of(tops, bottoms, detail, doubts(above, below), unit=unit)


def goodput_ratio(above: Sequence[Run], below: Sequence[Run], told: str) -> Measured:
    """Correct answers a second ÷ correct answers a second, of servers that are offered more than they can do."""
    tops, bottoms = _blocks(above), _blocks(below)
    alpha = (1.0 - CONFIDENCE) / 2.0
    ratio = ratio_of_means(tops, bottoms, alpha_fail=alpha, alpha_pass=alpha)
    if ratio is None:
        return Measured(None, UNKNOWN, "too few seconds", doubts(above, below))
    detail = f"{told.format(f'{tops.mean():,.0f}/s', f'{bottoms.mean():,.0f}/s')}, in {_lifetimes(above)} each"
    return Measured(ratio.value, Interval(ratio.low, ratio.high), detail, doubts(above, below))


def _blocks(runs: Sequence[Run]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Goodput second by second, the first of each lifetime left out: queues are filling."""
    found = []
    for run in runs:
        table = run.samples.table
        done = np.sort(table["done_ns"][table["outcome"] == Outcome.OK])
        begin = run.phase.start_ns + NS_PER_S
        found.append(goodput_blocks(done, begin, run.phase.start_ns + round(run.phase.duration_s * NS_PER_S)))
    return np.concatenate(found)


def _ms(values: Sequence[Quantile]) -> str:
    value, _ = hull(values)
    return "unknown" if value is None else f"{value:.3g} ms"


def _lifetimes(runs: Sequence[Run]) -> str:
    return "1 lifetime" if len(runs) == 1 else f"{len(runs)} lifetimes"
