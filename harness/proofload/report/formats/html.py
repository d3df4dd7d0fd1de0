"""One self-contained HTML page: no script, nothing loaded from elsewhere, pictures as inline SVG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from proofload.records import Status
from proofload.report.document import Block, Document, Picture, Table
from proofload.report.formats import Format
from proofload.report.sections import report_document
from proofload.report.states import STATES
from proofload.report.view import RunView
from proofload.verdict.comparison import Standing

_TEMPLATES = "templates"
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|s|MiB|requests/s|ok/s)(?:\W|$))")
_BRACKETED = re.compile(r"\([^()\s]*–[^()\s]*\)")
_TOLD = 60
"""Characters in a cell from which it is prose, for which a column of a phone's width is too narrow."""
_FEW = 8
_AFTER_SIGN = re.compile(r"(?<=[≥≤×÷=]) (?=\S)")


class Html:
    """Escapes everything but the pictures, which escape themselves."""

    suffix = ".html"

    def render(self, runs: Sequence[RunView]) -> str:
        return page(report_document(runs))


def create() -> Format:
    return Html()


def page(document: Document) -> str:
    """The page of any document."""
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["tied"] = _tied
    environment.filters["whole"] = _whole
    return environment.get_template("report.html.j2").render(
        document=document,
        states=STATES,
        style=Markup(_template("report.css")),  # noqa: S704  our own file
        is_state=lambda cell: isinstance(cell, Status | Standing),
        kind_of=lambda block: type(block).__name__,
        svg=_svg,
        told=_told,
        look_css=_look_css(document),
    )


def _template(name: str) -> str:
    return (resources.files("proofload.report") / _TEMPLATES / name).read_text(encoding="utf-8")


def _tied(text: str) -> str:
    """No line breaks between a number and its unit, or a sign and its number."""
    return _AFTER_SIGN.sub("\u00a0", _BEFORE_UNIT.sub("\u00a0", text))


def _whole(text: str) -> Markup:
    """A cell's text: an interval that follows its value goes to the next line as a whole, or not at all."""
    return Markup(_BRACKETED.sub(r'<span class="whole">\g<0></span>', str(escape(_tied(text)))))  # noqa: S704  escaped


def _told(block: Table) -> str:
    """The class of a table whose rows a phone shows as lines, one cell below the other: those that tell something in
    sentences, and the few rows of several verdicts that must be seen together. Of the others: nothing."""
    verdicts = sum(column.kind == "state" for column in block.columns) > 1
    long = any(len(cell) > _TOLD for row in block.rows for cell in row)
    if not long and not (verdicts and len(block.rows) <= _FEW):
        return ""
    return "told verdicts" if verdicts else "told"


def _svg(block: Block) -> Markup:
    assert isinstance(block, Picture)
    return Markup(block.draw())  # noqa: S704  matplotlib's XML, in which text is escaped


def _look_css(document: Document) -> dict[str, str]:
    """Colour of each target, for the symbol before its name."""
    return {label: look.colour for label, look in document.looks.items()}
