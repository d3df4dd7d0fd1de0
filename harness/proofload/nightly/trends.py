"""Courses of like runs, night by night, and the changes in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from proofload.analysis.change_points import Course, Outlook, outlooks
from proofload.nightly.figures import Figure, Typical
from proofload.nightly.likeness import differences
from proofload.nightly.rows import Row

CellKey = tuple[str, str, str]
"""Scenario, target, device."""


@dataclass(frozen=True, slots=True)
class Told:
    """A change, in nights."""

    night: str
    """The first night of the new level."""
    told_on: str
    """The night after which it was told."""
    ratio: float
    low: float
    high: float
    worse: bool


@dataclass(frozen=True, slots=True)
class Stretch:
    """One figure of one cell as long as host and configuration stayed the same."""

    nights: tuple[str, ...]
    figures: tuple[Figure, ...]
    changes: tuple[Told, ...]
    levels: tuple[tuple[str, str, Typical], ...]
    """First night, last night, and what was typical between them."""
    dependence: float
    stands_out: float | None


@dataclass(frozen=True, slots=True)
class Break:
    """From this night on, host or configuration are others: figures before and after are not compared."""

    night: str
    what: str
    differences: tuple[str, ...]
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """A figure on both sides of a break; None where it has none."""

    name: str
    unit: str
    before: Typical | None
    after: Typical | None


@dataclass(frozen=True, slots=True)
class Trend:
    """One figure of one cell over all nights."""

    cell: CellKey
    name: str
    unit: str
    high_is_worse: bool
    latest: Figure
    silent: tuple[str, ...]
    """The nights since the latest figure: it may be missing just because all went wrong."""
    last_night: str
    """That of the latest figure."""
    stretches: tuple[Stretch, ...]
    """By their first nights; hosts that take turns have stretches beside each other."""

    @property
    def changes(self) -> tuple[Told, ...]:
        return tuple(change for stretch in self.stretches for change in stretch.changes)


def trends(rows: Sequence[Row], nights: Sequence[str]) -> list[Trend]:
    """Of all cells and figures, in order of appearance. `nights`: all of them, the oldest first."""
    numbers = {night: number for number, night in enumerate(nights)}
    parts: dict[tuple[CellKey, str], dict[tuple[str, str], list[tuple[Row, Figure]]]] = {}
    for row in sorted(rows, key=lambda row: numbers[row.night]):
        for figure in row.figures:
            alike = parts.setdefault((key_of(row), figure.name), {})
            alike.setdefault(course_of(row), []).append((row, figure))
    courses = {
        (key, alike): Course(
            np.array([numbers[row.night] for row, _ in seen]),
            np.array([figure.value for _, figure in seen]),
            seen[-1][1].high_is_worse,
            key[1],
        )
        for key, all_alike in parts.items()
        for alike, seen in all_alike.items()
    }
    looked = outlooks(courses)
    found = []
    for key, all_alike in parts.items():
        stretches = tuple(_stretch(seen, looked[key, alike]) for alike, seen in all_alike.items())
        row, latest = max((seen[-1] for seen in all_alike.values()), key=lambda pair: numbers[pair[0].night])
        silent = tuple(nights[numbers[row.night] + 1 :])
        found.append(Trend(*key, latest.unit, latest.high_is_worse, latest, silent, row.night, stretches))
    return found


def breaks(rows: Sequence[Row]) -> list[Break]:
    """Of one cell's rows, the oldest first: where host or configuration changed."""
    measured = [row for row in rows if row.status is not None]
    courses = [list(alike) for _, alike in groupby(measured, key=course_of)]
    return [_break(one, other) for one, other in pairwise(courses)]


def _break(one: Sequence[Row], other: Sequence[Row]) -> Break:
    before, after = one[-1], other[0]
    parts = [name for name, differ in (("host", before.host != after.host),
             ("configuration", before.configuration != after.configuration)) if differ]  # fmt: skip
    told = tuple(fact for part in parts for fact in differences(before.facts[part], after.facts[part]))
    units = {figure.name: figure.unit for row in (*one, *other) for figure in row.figures}
    levels = tuple(Level(name, unit, _typical(one, name), _typical(other, name)) for name, unit in units.items())
    return Break(after.night, " and ".join(parts), told, levels)


def _typical(rows: Sequence[Row], name: str) -> Typical | None:
    figures = [figure for row in rows for figure in row.figures if figure.name == name]
    return Typical.of(figures) if figures else None


def course_of(row: Row) -> tuple[str, str]:
    """What rows of one cell have in common that are compared, whatever lies between them."""
    return row.host, row.configuration


def key_of(row: Row) -> CellKey:
    return (row.scenario, row.target, row.device)


def _stretch(seen: Sequence[tuple[Row, Figure]], outlook: Outlook) -> Stretch:
    names = tuple(row.night for row, _ in seen)
    figures = tuple(figure for _, figure in seen)
    edges = [0, *(change.at for change in outlook.changes), len(seen)]
    return Stretch(
        names,
        figures,
        tuple(Told(names[one.at], names[one.told], one.ratio, one.low, one.high, one.worse) for one in outlook.changes),
        tuple((names[first], names[after - 1], Typical.of(figures[first:after])) for first, after in pairwise(edges)),
        outlook.dependence,
        outlook.stands_out,
    )
