"""The verdict on every limit, with what was seen and how sure that is."""

from __future__ import annotations

from proofload.records import Check, Status
from proofload.report import numbers
from proofload.report.document import Block, Cell, Column, Note, Section, table
from proofload.report.sections.page import INTERVAL, Page
from proofload.report.sentences import check_phrase, observed_text
from proofload.report.text import printable

_TINY_S = 0.001


def section(page: Page) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for run in page.runs:
        for check in run.result.checks:
            rows.append((run.label, *_row(check)))  # noqa: PERF401  the loop reads as the table
    blocks: list[Block] = []
    if rows:
        columns = [
            Column("target", "target"),
            Column("verdict", "state"),
            Column("limit"),
            Column("observed", "number"),
            Column(INTERVAL, "number"),
            Column("evidence"),
        ]
        blocks.append(table("Verdict on each limit", columns, rows))
    bare = [run.label for run in page.runs if not run.result.checks]
    if bare:
        blocks.append(Note(f"No limit was judged for {', '.join(bare)}: the run set none, or ended before a verdict."))
    return Section("verdict", "Verdict on each limit", tuple(blocks))


def _row(check: Check) -> tuple[Cell, ...]:
    is_share = check.unit in {"share", "ratio"} or check.name.endswith("_share")
    unit = f" {check.unit}" if check.unit and not is_share else ""
    observed = numbers.share(check.observed) if is_share else observed_text(check)
    bounds = numbers.share_interval(check.interval) if is_share else numbers.interval(check.interval, limit=check.limit)
    evidence = printable(check.evidence, 300)
    if check.status is Status.INCONCLUSIVE and check.settle:
        evidence = f"{evidence.rstrip('.')}. To settle it: {printable(check.settle, 240)}" if evidence else check.settle
    with_unit = f"{observed}{unit}" if observed != numbers.MISSING else observed
    if check.unit == "s" and check.observed is not None and 0 < check.observed < _TINY_S:
        with_unit = numbers.seconds(check.observed)
    return (check.status, check_phrase(check), with_unit, bounds, evidence)
