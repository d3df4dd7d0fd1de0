"""One cell's page: each figure over the nights with its changes, then every night with a link to its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from proofload.nightly.chronicle import Chronicle
from proofload.nightly.rows import Row
from proofload.nightly.site.names import Names, label, report_link
from proofload.nightly.site.picture import sketch_of, trend_picture
from proofload.nightly.site.words import ToldChange, amount, level, silence, told_changes
from proofload.nightly.trends import Break, CellKey, Level, Trend, breaks, key_of
from proofload.records import Status
from proofload.report import numbers


@dataclass(frozen=True, slots=True)
class Drawn:
    """One figure's picture, and what it shows in words."""

    name: str
    svg: Markup
    alt: str
    caption: str


@dataclass(frozen=True, slots=True)
class NightLine:
    """A row of the table of nights."""

    night: str
    status: Status | None
    report: str
    figures: tuple[str, ...]
    cost: str
    said: str


@dataclass(frozen=True, slots=True)
class NewCourse:
    """Where host or configuration changed: what, and the figures on both sides."""

    night: str
    what: str
    differences: tuple[str, ...]
    levels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CellPage:
    title: str
    subtitle: str
    sentences: tuple[str, ...]
    pictures: tuple[Drawn, ...]
    changes: tuple[ToldChange, ...]
    breaks: tuple[NewCourse, ...]
    columns: tuple[str, ...]
    lines: tuple[NightLine, ...]

    @property
    def priced(self) -> bool:
        """Whether any night of it has a cost."""
        return any(line.cost for line in self.lines)


def cell_page(chronicle: Chronicle, key: CellKey, names: Names) -> CellPage:
    rows = [row for row in chronicle.rows if key_of(row) == key]
    own = [trend for trend in chronicle.trends if trend.cell == key]
    broken = breaks(rows)
    changes = told_changes(own, names, chronicle.nights)
    return CellPage(
        title=label(key),
        subtitle=f"proofload nightly · {len(rows)} of {len(chronicle.nights)} nights",
        sentences=(
            *_sentences(chronicle, rows, changes),
            *(f"{one.name}: {silence(one)}." for one in own if one.silent),
        ),
        pictures=tuple(_drawn(chronicle, trend, broken, number, names) for number, trend in enumerate(own)),
        changes=tuple(changes),
        breaks=tuple(_new_course(one) for one in reversed(broken)),
        columns=tuple(f"{trend.name} ({trend.unit})" for trend in own),
        lines=tuple(_line(row, own) for row in reversed(rows)),
    )


def _sentences(chronicle: Chronicle, rows: list[Row], changes: list[ToldChange]) -> tuple[str, ...]:
    if not rows:
        return ("This cell has not been run yet.",)
    last = rows[-1]
    late = "" if last.night == chronicle.nights[-1] else f"Missing last night; the latest run is of {last.night}. "
    said = [f"{late}{last.said}" if last.status is not None else f"{late}Not measured: {last.said}"]
    said += [f"{one.figure} is {one.change} ({one.interval}) since {one.since}: {one.way}." for one in changes[:2]]
    return tuple(said)


def _drawn(chronicle: Chronicle, trend: Trend, broken: list[Break], number: int, names: Names) -> Drawn:
    look = names.looks[trend.cell[1]]
    svg = trend_picture(f"trend{number}", chronicle.nights, trend, [one.night for one in broken], look)
    told = [f"{one.ratio - 1.0:+.1%} from {one.night} on" for one in trend.changes]
    alt = f"{trend.name} over {len(chronicle.nights)} nights, lately {level(trend.unit, trend.latest)}; changes: " + (
        "; ".join(told) or "none told"
    )
    return Drawn(trend.name, Markup(svg), alt, sketch_of(trend))  # noqa: S704  matplotlib's XML, in which text is escaped


def _new_course(one: Break) -> NewCourse:
    return NewCourse(one.night, one.what, one.differences, tuple(_levels(level) for level in one.levels))


def _levels(one: Level) -> str:
    """ "p99: 40.1 ms (median of 15 nights) → 61.0 ms (median of 3 nights)"."""
    told = [
        "no figure" if side is None else f"{level(one.unit, side)} ({_median_of(side.nights)})"
        for side in (one.before, one.after)
    ]
    return f"{one.name}: {' → '.join(told)}"


def _median_of(nights: int) -> str:
    return "one night" if nights == 1 else f"median of {nights} nights"


def _line(row: Row, own: list[Trend]) -> NightLine:
    seen: Mapping[str, str] = {figure.name: amount(figure) for figure in row.figures}
    return NightLine(
        night=row.night,
        status=row.status,
        report=report_link(row.folder, up=2) if row.folder else "",
        figures=tuple(seen.get(trend.name, "") for trend in own),
        cost=numbers.money(row.cost, row.currency) if row.cost is not None else "",
        said=row.said,
    )
