"""What a million correct predictions cost at the rate each target holds, with the arithmetic; and took in energy."""

from __future__ import annotations

from collections.abc import Iterator

from proofload.records import Status
from proofload.report import numbers
from proofload.report.document import Block, Column, Lines, Note, Section, table
from proofload.report.sections.page import INTERVAL, Page
from proofload.report.text import printable

_MISSING = "unknown"


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
    return Section("cost", "Cost at the SLO", (*blocks, *_energy(page)))


def _energy(page: Page) -> Iterator[Block]:
    """Nothing where no board was read."""
    read = [
        (run, cost.energy) for run in page.runs if (cost := run.result.cost) is not None and cost.energy is not None
    ]
    if not read:
        return
    rows = [
        (
            run.label,
            numbers.significant(energy.per_million_j),
            numbers.interval(energy.interval),
            numbers.significant(energy.mean_w),
            _MISSING if energy.idle_share is None else numbers.share(energy.idle_share),
            numbers.count(energy.predictions),
            numbers.seconds(energy.covered_s),
        )
        for run, energy in read
    ]
    columns = [
        Column("target", "target"),
        Column("J per million correct predictions", "number"),
        Column(INTERVAL, "number"),
        Column("mean power (W)", "number"),
        Column("of it at rest", "number"),
        Column("correct predictions", "number"),
        Column("measured for", "number"),
    ]
    yield table("Energy of the target's accelerators", columns, rows)
    yield Lines(tuple(f"{run.label}: {printable(energy.detail, 600)}" for run, energy in read))
    for run, _ in read:
        if run.result.status is not Status.PASS:
            yield Note(f"{run.label}: the energy is of a run that did not pass ({run.result.status}).")
