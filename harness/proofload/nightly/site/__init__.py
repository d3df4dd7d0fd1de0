"""The pages: a front page with the matrix of the last night, and one page a cell with its trends. No script, nothing
loaded from elsewhere; links lead to the reports in the run folders."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from proofload.nightly.chronicle import Chronicle
from proofload.nightly.site.cell_page import cell_page
from proofload.nightly.site.front_page import front_page
from proofload.nightly.site.names import Names
from proofload.nightly.trends import key_of
from proofload.records import Status
from proofload.report.states import STATES
from proofload.report.text import printable
from proofload.store.folder import write_whole

FOLDER = "site"


def write_site(out: Path, chronicle: Chronicle) -> tuple[Path, tuple[str, ...]]:
    """Writes out/site anew; returns the front page's path, and its first sentences. Raises RunFolderError where it
    cannot be written."""
    site = out / FOLDER
    pages = _environment()
    keys = dict.fromkeys(key_of(row) for row in chronicle.rows)
    keys |= dict.fromkeys(sorted(chronicle.planned))
    names = Names.of(tuple(keys))
    (site / "cells").mkdir(parents=True, exist_ok=True)
    written = set()
    for key in names.files:
        path = site / "cells" / names.files[key]
        text = pages.get_template("cell.html.j2").render(page=cell_page(chronicle, key, names))
        write_whole(path, text.encode("utf-8", "replace"))
        written.add(path)
    front = site / "index.html"
    page = front_page(chronicle, names)
    write_whole(front, pages.get_template("index.html.j2").render(page=page).encode("utf-8", "replace"))
    for path in set((site / "cells").iterdir()) - written:  # of cells that are called otherwise now
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return front, page.sentences


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
