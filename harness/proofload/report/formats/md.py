"""The report as Markdown: the same sections and tables, pictures as their words and a sketch in characters."""

from __future__ import annotations

import re
from collections.abc import Sequence

from proofload.records import Status
from proofload.report.document import Block, Cards, Cell, Code, Document, Lines, Note, Picture, Table
from proofload.report.formats import Format
from proofload.report.sections import report_document
from proofload.report.states import told
from proofload.report.view import RunView
from proofload.verdict.comparison import Standing

_SPECIAL = re.compile(r"([\\`*\[\]|~$#!])|(?<![^\W_])_|_(?![^\W_])")
_AT_START = re.compile(r"^(\s*)([-+=]|\d+[.)])(?=\s|$|[-=])")
_RULE = {"number": "---:", "state": ":---", "target": ":---", "text": ":---", "code": ":---"}


class Markdown:
    suffix = ".md"

    def render(self, runs: Sequence[RunView]) -> str:
        return page(report_document(runs))


def create() -> Format:
    return Markdown()


def page(document: Document) -> str:
    """The text of any document."""
    parts = [f"# {escaped(document.title)}", escaped(document.subtitle)]
    for section in document.sections:
        parts.append(f"## {escaped(section.title)}")
        parts += [text for block in section.blocks if (text := _block(block))]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is: no emphasis, links, HTML, table bars, mathematics or mentions."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    safe = _SPECIAL.sub(lambda found: f"\\{found[0]}", safe).replace("@", "&#64;")
    return _AT_START.sub(r"\1\\\2", safe) if not safe[:1].isdigit() else _numbered(safe)


def fenced(text: str) -> str:
    """A code block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _numbered(text: str) -> str:
    """ "1. x" at the start of a line would become a list; "1.5 ms" would not."""
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", text)


def _block(block: Block) -> str:
    match block:
        case Lines():
            return "\n\n".join(f"**{escaped(text)}**" if block.big else escaped(text) for text in block.sentences)
        case Note():
            return f"*{escaped(block.text)}*"
        case Code():
            return f"{escaped(block.title)}:\n\n{fenced(block.text)}"
        case Picture():
            words = escaped(block.alt)
            return f"{words}\n\n{fenced(block.sketch)}" if block.sketch else words
        case Cards():
            return "\n".join(_card_lines(block))
        case Table():
            return _table(block)


def _card_lines(block: Cards) -> list[str]:
    lines = []
    for card in block.cards:
        figures = "; ".join(f"{escaped(value)} {escaped(what)}" for value, what in card.figures)
        lines.append(f"- **{escaped(card.label)}** {told(card.status)}" + (f": {figures}" if figures else ""))
    return lines


def _table(block: Table) -> str:
    lines = [
        f"**{escaped(block.caption)}**",
        "",
        f"| {' | '.join(escaped(column.title) for column in block.columns)} |",
        f"| {' | '.join(_RULE[column.kind] for column in block.columns)} |",
    ]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in block.rows]
    return "\n".join(lines)


def _cell(cell: Cell) -> str:
    return told(cell) if isinstance(cell, Status | Standing) else escaped(cell)
