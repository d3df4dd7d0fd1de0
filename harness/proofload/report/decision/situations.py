"""What each option does at ten times its load, cold, on rollback: by the verdict of one run each."""

from __future__ import annotations

from proofload.comparing.found import Comparison
from proofload.comparing.unmeasured import SITUATIONS
from proofload.report.document import Block, Cell, Column, Note, Section, table
from proofload.report.sentences import joined
from proofload.report.text import printable

TITLE = "At ten times the load, cold, on rollback"
_WHAT = {
    "peak-10x": "at ten times its load",
    "cold-start": "cold",
    "canary-rollback": "rolled out and back",
    "soak": "after a long time",
    "capacity": "at its capacity",
}
_SENTENCES = 3


def situations(found: Comparison) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for one in sorted(found.once, key=lambda each: (found.scenarios.index(each.scenario), each.option)):
        said = " ".join(printable(sentence, 300) for sentence in one.said[:_SENTENCES])
        beside = f" The second version was {one.canary}." if one.canary else ""
        rows.append(
            (
                one.option,
                printable(one.scenario, 60),
                _WHAT.get(one.procedure, one.procedure),
                one.status if one.status is not None else "not measured",
                f"{said or 'No run of it is there.'}{beside}",
                one.folder,
            )
        )
    procedures = {one.procedure for one in found.once}
    missing = [name for name in SITUATIONS if name not in procedures]
    blocks: list[Block] = []
    if rows:
        columns = [
            Column("option", "target"),
            Column("scenario"),
            Column("what"),
            Column("verdict", "state"),
            Column("what was seen"),
            Column("run folder"),
        ]
        blocks.append(table("Each option once in each situation", columns, rows))
    if missing:
        what = joined([_WHAT[name] for name in missing])
        blocks.append(Note(f"Not measured: {what}. How it would be is said under what was not measured."))
    return Section("situations", TITLE, tuple(blocks))
