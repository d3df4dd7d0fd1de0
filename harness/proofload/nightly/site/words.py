"""Changes and matrices in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from proofload.nightly.figures import Figure, Typical
from proofload.nightly.site.names import Names, label
from proofload.nightly.trends import Stretch, Told, Trend
from proofload.records import Status
from proofload.report import numbers
from proofload.report.sentences import joined

_SIGN = {"": "", "at least": "≥ ", "at most": "≤ "}


@dataclass(frozen=True, slots=True)
class ToldChange:
    """A row of a table of changes."""

    cell: str
    link: str
    figure: str
    way: str
    worse: bool
    change: str
    interval: str
    levels: str
    since: str
    told_on: str


def told_changes(trends: Iterable[Trend], names: Names, nights: Sequence[str]) -> list[ToldChange]:
    """The latest told first."""
    order = {night: number for number, night in enumerate(nights)}
    found = [(trend, stretch, number, change) for trend in trends for stretch in trend.stretches
             for number, change in enumerate(stretch.changes)]  # fmt: skip
    found.sort(key=lambda one: (order[one[3].told_on], one[3].worse), reverse=True)
    return [_told(*one, names) for one in found]


def sentence(change: ToldChange) -> str:
    """ "p99 of load · flask · cpu is 5.3 % higher (3.1 to 7.5 %) since 2026-11-10: worse"."""
    return f"{change.figure} of {change.cell} is {change.change} ({change.interval}) since {change.since}: {change.way}"


def percent(ratio: float) -> str:
    """ "5.3 % higher" for 1.053."""
    by = abs(ratio - 1.0) * 100.0
    return f"{numbers.significant(by, 2)} % {'higher' if ratio > 1.0 else 'lower'}"


def verdicts(states: Sequence[Status | None]) -> str:
    """ "12 of 15 cells pass; 1 fails; 2 were not measured"."""
    counts = Counter(states)
    said = [f"{counts[Status.PASS]} of {len(states)} cells {'passes' if counts[Status.PASS] == 1 else 'pass'}"]
    for status, one, more in (
        (Status.FAIL, "fails", "fail"),
        (Status.INCONCLUSIVE, "is inconclusive", "are inconclusive"),
        (Status.INVALID, "is invalid", "are invalid"),
        (None, "is missing", "are missing"),
    ):
        if counts[status]:
            said.append(f"{counts[status]} {one if counts[status] == 1 else more}")
    return "; ".join(said)


def amount(value: Figure | Typical) -> str:
    """ "41.2", and "≥ 5,000" of what is only a bound."""
    return f"{_SIGN[value.bound]}{numbers.significant(value.value)}"


def level(unit: str, value: Figure | Typical) -> str:
    return f"{amount(value)} {unit}".rstrip()


def silence(trend: Trend) -> str:
    """ "3 nights without a figure, the last one is of 2026-01-12"."""
    nights = "one night" if len(trend.silent) == 1 else f"{len(trend.silent)} nights"
    return f"{nights} without a figure, the last one is of {trend.last_night}"


def listed(parts: Sequence[str], most: int = 3) -> str:
    """The first few, and how many more there are."""
    more = len(parts) - most
    return joined([*parts[:most], f"{more} more"] if more > 0 else parts)


def _told(trend: Trend, stretch: Stretch, number: int, change: Told, names: Names) -> ToldChange:
    before, after = stretch.levels[number][2], stretch.levels[number + 1][2]
    return ToldChange(
        cell=label(trend.cell),
        link=names.link(trend.cell),
        figure=trend.name,
        way="worse" if change.worse else "better",
        worse=change.worse,
        change=percent(change.ratio),
        interval=_span(change.low, change.high),
        levels=f"{level(trend.unit, before)} → {level(trend.unit, after)}",
        since=change.night,
        told_on=change.told_on,
    )


def _span(low: float, high: float) -> str:
    """ "3.1–7.5 %" where both ends lie on one side, else each with its side."""
    if (low - 1.0) * (high - 1.0) <= 0.0:
        return f"{percent(low)} to {percent(high)}"
    ends = sorted(abs(end - 1.0) * 100.0 for end in (low, high))
    return f"{numbers.significant(ends[0], 2)}–{numbers.significant(ends[1], 2)} %"
