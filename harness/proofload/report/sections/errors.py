"""What went wrong, by kind, with examples of what was seen."""

from __future__ import annotations

from proofload.report import numbers
from proofload.report.document import Block, Code, Column, Lines, Note, Section, table
from proofload.report.reduce.failures import MAX_KINDS
from proofload.report.sections.page import Page

_EXAMPLE_KINDS = 8


def section(page: Page) -> Section:
    rows = []
    examples: list[Block] = []
    for run in page.runs:
        for failure in run.failures:
            status = "none" if failure.status < 0 else str(failure.status)
            rows.append(
                (
                    run.label,
                    failure.outcome,
                    failure.kind or failure.outcome,
                    status,
                    numbers.count(failure.measured),
                    numbers.count(failure.elsewhere),
                    f"{numbers.significant(max(failure.first_s, 0.0))} s",
                    f"{numbers.significant(max(failure.last_s, 0.0))} s",
                )
            )
        shown = [failure for failure in run.failures if failure.examples][:_EXAMPLE_KINDS]
        done: set[str] = set()
        for failure in shown:
            if failure.kind in done:
                continue
            done.add(failure.kind)
            examples.append(Code(f"{run.label}, {failure.kind}", "\n\n".join(failure.examples), wide=False))
    blocks: list[Block] = []
    if rows:
        columns = [
            Column("target", "target"),
            Column("outcome"),
            Column("kind"),
            Column("peer's status", "number"),
            Column("in measured phases", "number"),
            Column("elsewhere", "number"),
            Column("first at", "number"),
            Column("last at", "number"),
        ]
        blocks.append(table("Everything that was not ok", columns, rows))
        blocks.append(Lines(("Elsewhere: in phases that no limit of the SLO binds, as warm-ups and search steps.",)))
        if any(len(run.failures) >= MAX_KINDS for run in page.runs):
            blocks.append(Note(f"The {MAX_KINDS} most frequent kinds of each run are shown."))
    clean = [run.label for run in page.runs if not run.failures and run.time is not None]
    if clean:
        blocks.append(Note(f"Every request was ok: {', '.join(clean)}."))
    nothing = [run.label for run in page.runs if not run.failures and run.time is None]
    if nothing:
        blocks.append(Note(f"No samples were recorded: {', '.join(nothing)}."))
    return Section("errors", "Errors by kind", (*blocks, *examples))
