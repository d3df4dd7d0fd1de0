"""The numbers beside each other: rates, outcomes and latency of every target, with intervals."""

from __future__ import annotations

from proofload.records import PhaseSummary, Status
from proofload.report import numbers
from proofload.report.document import Block, Column, Note, Picture, Section, table
from proofload.report.pictures.ranges import Spread, ranges_picture
from proofload.report.reduce.load_curve import share_of
from proofload.report.sections.page import INTERVAL, Page
from proofload.report.sentences import held_text, telling_phases
from proofload.report.text import printable
from proofload.report.view import RunView

_OUTCOMES = ("ok", "wrong", "late", "shed", "error", "timeout", "unsent")


def section(page: Page) -> Section:
    measured = [(run, phase) for run in page.runs for phase in telling_phases(run.result)]
    title = "Comparison" if page.several else "The numbers"
    if not measured:
        return Section(
            "comparison",
            title,
            (Note("No measured phase: the run ended before one, or no rate was worth confirming."),),
        )
    blocks: list[Block] = []
    picture = _ranges(page)
    if picture is not None:
        blocks.append(picture)
    blocks.append(_rates(measured, wide=picture is None))
    blocks.append(_latency(measured))
    blocks.append(_outcomes(measured))
    delivered = _delivery(measured)
    if delivered is not None:
        blocks.append(delivered)
    empty = [run.label for run in page.runs if not any(phase.measured for phase in run.result.phases)]
    if empty:
        blocks.append(Note(f"Not in these tables, for want of a measured phase: {', '.join(empty)}."))
    return Section("comparison", title, tuple(blocks))


def _name(run: RunView, phase: PhaseSummary) -> tuple[str, str]:
    return run.label, printable(phase.name, 40) if len(telling_phases(run.result)) > 1 else ""


def _rates(measured: list[tuple[RunView, PhaseSummary]], *, wide: bool) -> Block:
    rows = []
    for run, phase in measured:
        found = run.result.capacity
        held = bounds = ""
        if found is not None:
            held = held_text(run.result)
            bounds = numbers.interval(found.interval) if found.confirmed else numbers.MISSING
        rates = (numbers.significant(phase.offered_rps), numbers.significant(phase.goodput_rps))
        name, part = _name(run, phase)
        verdict = "" if part else run.result.status  # it is the run's, and of no phase
        rows.append((name, part, verdict, held, bounds, *rates))
    columns = [
        Column("target", "target"),
        Column("phase"),
        Column("verdict", "state"),
        Column("holds", "number"),
        Column(INTERVAL, "number"),
        Column("offered", "number"),
        Column("goodput", "number"),
    ]
    return table("Rates (requests/s)", columns, rows, wide=wide)


def _latency(measured: list[tuple[RunView, PhaseSummary]]) -> Block:
    rows = []
    for run, phase in measured:
        found = phase.latency.quantiles
        cells: list[str] = []
        for name in ("p50", "p99", "p99_9"):
            quantile = found.get(name)
            cells += [numbers.quantile(quantile), numbers.interval(quantile.interval) if quantile else ""]
        highest = numbers.significant(phase.latency.max_ms)
        shares = (numbers.share(share_of(phase, "shed")), numbers.share(share_of(phase, "error")))
        rows.append((*_name(run, phase), numbers.count(phase.latency.n), *cells, highest, *shares))
    columns = [Column("target", "target"), Column("phase"), Column("n", "number")]
    for name in ("p50", "p99", "p99.9"):
        columns += [Column(f"{name} (ms)", "number"), Column(INTERVAL, "number")]
    columns += [Column("max (ms)", "number"), Column("shed", "number"), Column("errors", "number")]
    return table("Latency from the due time, over ok, wrong, late and timed-out requests", columns, rows)


def _outcomes(measured: list[tuple[RunView, PhaseSummary]]) -> Block:
    rows = []
    for run, phase in measured:
        counted = [numbers.count(phase.outcomes.get(name, 0)) for name in _OUTCOMES]
        left = numbers.count(phase.excluded)
        total = numbers.count(sum(phase.outcomes.values()) + phase.excluded)
        rows.append((*_name(run, phase), total, left, *counted))
    columns = [Column("target", "target"), Column("phase"), Column("planned", "number"), Column("warm-up", "number")]
    columns += [Column(name, "number") for name in _OUTCOMES]
    return table("What became of every planned request; the parts add up to what was planned", columns, rows)


def _delivery(measured: list[tuple[RunView, PhaseSummary]]) -> Block | None:
    rows = [
        (*_name(run, phase), *(numbers.count(phase.delivery.get(name)) for name in ("lost", "duplicated", "reordered")))
        for run, phase in measured
        if phase.delivery is not None
    ]
    if not rows:
        return None
    columns = [Column("target", "target"), Column("phase")]
    columns += [Column(name, "number") for name in ("lost", "duplicated", "reordered")]
    return table("Delivery of the stream's messages", columns, rows)


def _ranges(page: Page) -> Picture | None:
    if not page.several:
        return None
    panels = []
    rates = [
        Spread(run.label, found.rate_rps, found.interval, firm=found.confirmed and _firm(run))
        for run in page.runs
        if (found := run.result.capacity) is not None and found.rate_rps is not None
    ]
    if rates:
        panels.append(("holds (requests/s)", rates))
    costs = [
        Spread(run.label, cost.per_million, cost.interval, firm=_firm(run))
        for run in page.runs
        if (cost := run.result.cost) is not None and cost.priced and cost.per_million is not None
    ]
    currencies = {run.result.cost.currency for run in page.runs if run.result.cost is not None}
    if costs and len(currencies) == 1:
        panels.append((f"cost per million ({printable(currencies.pop(), 8)})", costs))
    if not panels:
        return None
    told = "; ".join(
        f"{spread.label} {numbers.significant(spread.value)} ({numbers.interval(spread.interval)})"
        for spread in panels[0][1]
    )
    return Picture(
        key="ranges",
        draw=lambda: ranges_picture("ranges", panels, page.looks),
        alt=f"{panels[0][0]} by target: {told}.",
        caption="Each target's value and its interval. Bars that overlap are not told apart by this run; "
        "hollow marks are not to be relied on.",
    )


def _firm(run: RunView) -> bool:
    return run.result.status in {Status.PASS, Status.FAIL}
