"""The pictures that the procedure itself calls for, from its file in `report.experiments`."""

from __future__ import annotations

from proofload.discovery import implementations
from proofload.report.document import Block, Section
from proofload.report.experiments import Experiment
from proofload.report.sections.page import Page


def section(page: Page) -> Section | None:
    """None where no run on the page has a procedure with pictures of its own."""
    blocks: list[Block] = []
    titles: dict[str, None] = {}
    for place, run in enumerate(page.runs):
        known = implementations("experiment report").get(run.result.procedure)
        if known is None or known.module is None:
            continue
        experiment: Experiment = known.module.create()
        titles[experiment.title] = None
        blocks += experiment.blocks(page, run, place)
    return Section("experiment", " · ".join(titles), tuple(blocks)) if blocks else None
