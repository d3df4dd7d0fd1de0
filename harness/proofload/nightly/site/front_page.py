"""The front page: last night's matrix, what has changed, what it costs, and the nights before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from proofload.analysis.change_points import ALPHA_OF_HORIZON, FEWEST, HORIZON
from proofload.nightly.chronicle import Chronicle
from proofload.nightly.rows import Row
from proofload.nightly.site.names import Names, label, report_link
from proofload.nightly.site.words import ToldChange, listed, sentence, silence, told_changes, verdicts
from proofload.nightly.trends import CellKey, breaks, course_of, key_of
from proofload.records import Status
from proofload.report import numbers
from proofload.report.sentences import joined

_NIGHTS_SHOWN = 30
_LATELY = 7
"""For so many nights more the first screen names what became worse: nobody reads it every day."""


@dataclass(frozen=True, slots=True)
class Square:
    """One cell of one night. `status` None: missing, and `said` is why; not even planned: no square."""

    status: Status | None
    said: str
    report: str
    trend: str
    changed: bool = False
    """A change of one of its figures was told that night."""


@dataclass(frozen=True, slots=True)
class Priced:
    cell: str
    link: str
    amount: str
    interval: str
    usual: str
    """The least and the most of the nights before, in the same currency."""


@dataclass(frozen=True, slots=True)
class FrontPage:
    title: str
    subtitle: str
    sentences: tuple[str, ...]
    columns: tuple[str, ...]
    matrix: tuple[tuple[str, str, tuple[Square | None, ...]], ...]
    """Target with its device, its symbol's colour and symbol, and a square for each column."""
    changes: tuple[ToldChange, ...]
    standing_out: tuple[str, ...]
    costs: tuple[Priced, ...]
    nights: tuple[str, ...]
    past: tuple[tuple[str, str, tuple[Square | None, ...]], ...]
    """Cell, link to its page, and a square for each night."""
    looks: Mapping[str, tuple[str, str]]
    reading: tuple[str, ...]


def front_page(chronicle: Chronicle, names: Names) -> FrontPage:
    last = chronicle.nights[-1] if chronicle.nights else ""
    tonight = {key_of(row): row for row in chronicle.rows if row.night == last}
    changes = told_changes(chronicle.trends, names, chronicle.nights)
    fresh = [change for change in changes if change.told_on == last]
    squares = {key: _square(tonight.get(key), key, names, up=1) for key in sorted(chronicle.planned | set(tonight))}
    just_changed = {change.cell for change in fresh}
    shown = {key: _marked(one, changed=label(key) in just_changed) for key, one in squares.items()}
    columns = list(dict.fromkeys(key[0] for key in shown))
    lines = dict.fromkeys((key[1], key[2]) for key in shown)
    return FrontPage(
        title=f"Night {last}" if last else "No night yet",
        subtitle=f"proofload nightly · {len(chronicle.nights)} night{'s' if len(chronicle.nights) != 1 else ''}",
        sentences=(*_sentences(shown, changes, chronicle.nights), *_new_courses(chronicle, last), *_silent(chronicle)),
        columns=tuple(columns),
        matrix=tuple((line[0], line[1], tuple(shown.get((column, *line)) for column in columns)) for line in lines),
        changes=tuple(changes),
        standing_out=tuple(_standing_out(chronicle, last)),
        costs=tuple(_costs(chronicle, tonight, names)),
        nights=_lately(chronicle),
        past=tuple(_past(chronicle, names)),
        looks={target: (look.colour, look.symbol) for target, look in names.looks.items()},
        reading=_reading(chronicle),
    )


def _sentences(
    shown: Mapping[CellKey, Square], changes: Sequence[ToldChange], nights: Sequence[str]
) -> tuple[str, ...]:
    if not shown:
        return ("Nothing has been run yet.",)
    fresh = [change for change in changes if change.told_on == nights[-1]]
    said = [f"{verdicts([square.status for square in shown.values()])}."]
    worse = [sentence(change) for change in fresh if change.worse]
    better = [sentence(change) for change in fresh if not change.worse]
    if worse or better:
        said.append(f"Told tonight: {listed([*worse, *better])}.")
    elif len(nights) < FEWEST:
        said.append(f"No change can be told yet: that takes {FEWEST} nights, and this is number {len(nights)}.")
    else:
        said.append("No change was told tonight.")
    week = nights[-_LATELY - 1 : -1]
    lately = [sentence(change) for change in changes if change.worse and change.told_on in week]
    if lately:
        said.append(f"Told in the {_LATELY} nights before: {listed(lately)}.")
    failed = [label(key) for key, square in shown.items() if square.status is Status.FAIL]
    if failed:
        said.append(f"Failed: {listed(failed, 5)}.")
    missing = [label(key) for key, square in shown.items() if square.status is None]
    if missing:
        said.append(f"Missing: {listed(missing, 5)}.")
    return tuple(said)


def _new_courses(chronicle: Chronicle, last: str) -> Iterator[str]:
    """Figures that are not compared with what went before: a change that came with it is told by nobody."""
    begun = []
    for key in dict.fromkeys(key_of(row) for row in chronicle.rows if row.night == last):
        *before, now = (row for row in chronicle.rows if key_of(row) == key)
        broken = breaks([*before, now])
        if broken and broken[-1].night == last and course_of(now) not in map(course_of, before):  # hosts take turns
            begun.append(f"{label(key)} (another {broken[-1].what})")
    if begun:
        yield (
            f"Not compared with the nights before: {listed(begun, 5)}. A new course began; the page of the cell has "
            "the figures of both sides."
        )


def _silent(chronicle: Chronicle) -> Iterator[str]:
    """Figures that last night does not have: no news of them is no good news."""
    silent: dict[tuple[str, str], list[str]] = {}
    for trend in chronicle.trends:
        if trend.silent and trend.cell in chronicle.planned:
            silent.setdefault((label(trend.cell), silence(trend)), []).append(trend.name)
    if silent:
        told = [f"{joined(names)} of {cell} ({since})" for (cell, since), names in silent.items()]
        yield f"Nothing can be told of {listed(told, 5)}."


def _square(row: Row | None, key: CellKey, names: Names, *, up: int) -> Square:
    trend = names.link(key)
    if row is None:
        return Square(None, "it has not been run", "", trend)
    return Square(row.status, row.said, report_link(row.folder, up=up) if row.folder else "", trend)


def _marked(square: Square, *, changed: bool) -> Square:
    return Square(square.status, square.said, square.report, square.trend, changed)


def _standing_out(chronicle: Chronicle, last: str) -> list[str]:
    """One night is no change; it is worth a look all the same."""
    found = []
    for trend in chronicle.trends:
        for stretch in trend.stretches:
            if stretch.stands_out is not None and stretch.nights[-1] == last:
                by = (stretch.stands_out - 1.0) * 100.0
                found.append(
                    f"{trend.name} of {label(trend.cell)}: {numbers.significant(abs(by), 2)} % "
                    f"{'above' if by > 0 else 'below'} the median of its nights."
                )
    return found


def _costs(chronicle: Chronicle, tonight: Mapping[CellKey, Row], names: Names) -> list[Priced]:
    found = []
    for key, row in sorted(tonight.items()):
        if row.cost is None:
            continue
        before = [one.cost for one in chronicle.rows if key_of(one) == key and one.night != row.night
                  and one.cost is not None and one.currency == row.currency]  # fmt: skip
        amount = numbers.money(row.cost, row.currency)
        low, high = (None if end is None else numbers.money(end, row.currency) for end in (row.cost_low, row.cost_high))
        usual = (
            f"{numbers.money(min(before), row.currency)}–{numbers.money(max(before), row.currency)}" if before else ""
        )
        found.append(Priced(label(key), names.link(key), amount, f"{low}–{high}" if low and high else "", usual))
    return found


def _lately(chronicle: Chronicle) -> tuple[str, ...]:
    """The latest first: on a phone the others are out of sight."""
    return chronicle.nights[: -_NIGHTS_SHOWN - 1 : -1]


def _past(chronicle: Chronicle, names: Names) -> list[tuple[str, str, tuple[Square | None, ...]]]:
    by_place = {(key_of(row), row.night): row for row in chronicle.rows}
    keys = sorted({key_of(row) for row in chronicle.rows} | chronicle.planned)
    shown = _lately(chronicle)
    return [
        (
            label(key),
            names.link(key),
            tuple(
                None if (key, night) not in by_place else _square(by_place[key, night], key, names, up=1)
                for night in shown
            ),
        )
        for key in keys
    ]


def _reading(chronicle: Chronicle) -> tuple[str, ...]:
    chance = f"{ALPHA_OF_HORIZON:.0%}".replace("%", " %")
    followed = len(chronicle.trends)
    told = (
        f"{followed} figures are followed. A change is told when chance alone would tell of any, in all of "
        f"them together and over {HORIZON} nights of looks, in at most {chance} of histories. What was told stays told."
    )
    compared = (
        "Only valid runs count, and only those of the same host and configuration are compared: where either changes, "
        f"a new course begins. The first {FEWEST - 1} nights of a course tell nothing."
    )
    apart = (
        "A verdict is about one run and its limits; a change is about the nights before it. Neither implies the other."
    )
    return (told, compared, apart)
