"""What a report says, section by section, one file each: functions of a Page that return a Section.

`report_document` puts them in the order of a reader's doubts. A section without data says why in a line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from proofload.errors import InputError
from proofload.report.document import Document, Section
from proofload.report.sections import (
    answer,
    comparison,
    cost,
    environment,
    errors,
    experiment,
    load,
    reproduce,
    server,
    tail,
    time,
    validity,
    verdict,
)
from proofload.report.sections.page import Page, page_of
from proofload.report.text import printable
from proofload.report.view import RunView

ORDER: tuple[Callable[[Page], Section | None], ...] = (
    answer.section,
    validity.section,
    verdict.section,
    experiment.section,
    comparison.section,
    cost.section,
    load.section,
    tail.section,
    errors.section,
    time.section,
    server.section,
    environment.section,
    reproduce.section,
)


def report_document(runs: Sequence[RunView]) -> Document:
    """The report of these runs, in the order given. Raises InputError for none."""
    if not runs:
        raise InputError("a report needs at least one run", remedy="name a run folder")
    page = page_of(runs)
    return Document(
        title=_title(page),
        subtitle=_subtitle(page),
        sections=tuple(section for make in ORDER if (section := make(page)) is not None),
        looks=page.looks,
    )


def _title(page: Page) -> str:
    scenarios = list(dict.fromkeys(printable(run.result.scenario, 60) for run in page.runs))
    if len(scenarios) > 1:  # the labels name them again
        return f"{', '.join(scenarios)}: {len(page.runs)} runs"
    return f"{', '.join(scenarios)}: {', '.join(run.label for run in page.runs)}"


def _subtitle(page: Page) -> str:
    procedures = list(dict.fromkeys(printable(run.result.procedure, 40) for run in page.runs))
    starts = sorted(_to_the_second(run.result.started_at) for run in page.runs if run.result.started_at)
    when = " to ".join(dict.fromkeys((starts[0], starts[-1]))) if starts else "never started"
    return f"proofload · {', '.join(procedures)} · {when}"


def _to_the_second(instant: str) -> str:
    return re.sub(r"(\d{2}:\d{2}:\d{2})\.\d+", r"\1", printable(instant, 40)).replace("T", " ")
