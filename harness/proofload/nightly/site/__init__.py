"""The pages: a front page with the matrix of the last night, and one page a cell with its trends. No script, nothing
loaded from elsewhere; links lead to the reports in the run folders."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from proofload.nightly.chronicle import Chronicle
from proofload.nightly.pages import pages_of
from proofload.nightly.site.cell_page import cell_page
from proofload.nightly.site.front_page import front_page
from proofload.nightly.site.names import Names
from proofload.nightly.trends import key_of
from proofload.records import Status
from proofload.report.states import STATES
from proofload.report.text import printable


def write_site(out: Path, chronicle: Chronicle) -> tuple[Path, tuple[str, ...]]:
    """Writes out/site anew; returns the front page's path, and its first sentences. Raises InputError for a
    folder that is not ours, RunFolderError where it cannot be written."""
    templates = _environment()
    keys = dict.fromkeys(key_of(row) for row in chronicle.rows)
    keys |= dict.fromkeys(sorted(chronicle.planned))
    names = Names.of(tuple(keys))
    front = front_page(chronicle, names)
    texts = {"index.html": templates.get_template("index.html.j2").render(page=front)}
    for key, file in names.files.items():
        page = cell_page(chronicle, key, names)
        texts[f"cells/{file}"] = templates.get_template("cell.html.j2").render(page=page)
    pages = pages_of(out)
    pages.write(texts)
    return pages.folder / "index.html", front.sentences


def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = resources.files("proofload.report") / "templates" / "report.css"
    own = Markup(style.read_text(encoding="utf-8") + _template("site.css"))  # noqa: S704  our own files
    environment.globals.update(states=STATES, verdicts=tuple(Status), style=own)
    environment.filters["shown"] = lambda value, limit=160: printable(value, limit)
    return environment


def _template(name: str) -> str:
    return (resources.files("proofload.nightly.site") / "templates" / name).read_text(encoding="utf-8")
