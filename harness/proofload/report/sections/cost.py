"""What a million correct predictions cost at the rate each target holds, with the arithmetic."""

from __future__ import annotations

from proofload.report import numbers
from proofload.report.document import Block, Column, Lines, Note, Section, table
from proofload.report.sections.page import INTERVAL, Page
from proofload.report.text import printable


def section(page: Page) -> Section:
    rows = []
    arithmetic = []
    unpriced = []
    for run in page.runs:
        cost = run.result.cost
        if cost is None:
            unpriced.append(f"{run.label}: no cost was computed, for want of a rate that it holds.")
        elif not cost.priced or cost.per_million is None:
            unpriced.append(f"{run.label}: unpriced: {printable(cost.detail, 400)}")
        else:
            amount = numbers.money(cost.per_million, cost.currency)
            rows.append((run.label, amount, numbers.money_interval(cost.interval, cost.currency), cost.currency))
            found = run.result.capacity
            if found is not None and not found.confirmed:
                unpriced.append(f"{run.label}: the cost is of a rate that was not confirmed.")
            arithmetic.append(f"{run.label}: {printable(cost.detail, 600)}")
    blocks: list[Block] = []
    if rows:
        columns = [
            Column("target", "target"),
            Column("per million correct predictions", "number"),
            Column(INTERVAL, "number"),
            Column("currency"),
        ]
        blocks.append(table("Cost at the SLO", columns, rows))
        blocks.append(Lines(tuple(arithmetic)))
    blocks += [Note(text) for text in unpriced]
    return Section("cost", "Cost at the SLO", tuple(blocks))
