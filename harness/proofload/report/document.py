"""A report before it has a form: sections of sentences, tables, pictures and code. Every format renders this."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from proofload.records import Status
from proofload.report import numbers
from proofload.verdict.comparison import Standing

Cell = str | Status | Standing
Kind = Literal["text", "number", "state", "target", "code"]


@dataclass(frozen=True, slots=True)
class Look:
    """How a target is drawn everywhere in a report: colour, and marker and dash for grey print."""

    colour: str
    marker: str
    symbol: str
    """The marker as a character, for tables."""
    dash: tuple[float, tuple[float, ...]]
    """As matplotlib takes it: offset, and lengths of ink and gap."""


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column. Cells of kind "number" are aligned on their points."""

    title: str
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of as many cells as there are columns; the first cell of a row names it."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    wide: bool = True
    """Takes the page's whole width rather than standing beside a picture."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Sentences, one paragraph each; `big` ones are what a reader in a hurry reads."""

    sentences: tuple[str, ...]
    big: bool = False
    wide: bool = True


@dataclass(frozen=True, slots=True)
class Note:
    """Why a part is empty, or what to mind when reading the one before."""

    text: str
    wide: bool = True


@dataclass(frozen=True, slots=True)
class Code:
    """Text to be shown as it is: a command, an answer's body."""

    title: str
    text: str
    wide: bool = True


@dataclass(frozen=True, slots=True)
class Picture:
    """`draw()` gives an SVG element. `alt` says in words what can be seen; `key` is unique in the report."""

    key: str
    draw: Callable[[], str]
    alt: str
    caption: str
    sketch: str = ""
    """For formats without pictures: a line of text that stands in for it, or nothing."""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """One target in a glance: its verdict and the two or three figures that matter."""

    label: str
    status: Status | Standing
    figures: tuple[tuple[str, str], ...]
    """(value, what it is)"""


@dataclass(frozen=True, slots=True)
class Cards:
    cards: tuple[Card, ...]
    wide: bool = True


Block = Table | Lines | Note | Code | Picture | Cards


@dataclass(frozen=True, slots=True)
class Section:
    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report. The first section is the answer; the others follow in the order of a reader's doubts."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    looks: Mapping[str, Look]


def table(caption: str, columns: Sequence[Column | str], rows: Sequence[Sequence[Cell]], *, wide: bool = True) -> Table:
    """A Table with its number columns aligned, a unit that all of a column's cells share moved to its title.

    Columns that are empty or "n/a" in every row are dropped, but for the first; a title alone means text.
    """
    titled = [Column(column) if isinstance(column, str) else column for column in columns]
    kept = [
        index
        for index in range(len(titled))
        if index == 0 or not rows or any(row[index] not in {"", numbers.MISSING} for row in rows)
    ]
    cells: list[list[Cell]] = [[row[index] for index in kept] for row in rows]
    for place, index in enumerate(kept):
        if titled[index].kind == "number":
            texts = [str(row[place]) for row in cells]
            unit = numbers.unit_of(texts)
            if unit:
                titled[index] = Column(f"{titled[index].title} ({unit})", "number")
                texts = [text.removesuffix(f" {unit}") for text in texts]
            for row, text in zip(cells, numbers.align(texts), strict=True):
                row[place] = text
    return Table(caption, tuple(titled[index] for index in kept), tuple(tuple(row) for row in cells), wide=wide)
