"""Latency against load: the picture with the limit and the knee, and every rate that was tried."""

from __future__ import annotations

from proofload.discovery import implementations
from proofload.records import Status
from proofload.report import numbers
from proofload.report.document import Block, Cell, Column, Note, Picture, Section, table
from proofload.report.pictures.load import load_picture
from proofload.report.reduce.load_curve import LoadPoint
from proofload.report.sections.page import INTERVAL, Page
from proofload.report.text import printable
from proofload.report.view import RunView

_TITLE = "Latency against load"


def section(page: Page) -> Section | None:
    """None where every run's procedure has pictures of its own: its phases are no curve, and stand in the numbers."""
    plain = [run for run in page.runs if run.result.procedure not in implementations("experiment report")]
    if not plain:
        return None
    curves = [run for run in plain if run.load]
    rates = {point.rate_rps for run in curves for point in run.load}
    if not rates:
        return Section("load", _TITLE, (Note("No rate was held long enough to measure."),))
    blocks: list[Block] = []
    if len(rates) < 2 and not any(run.result.capacity for run in curves):
        blocks.append(Note("One rate was offered, so there is no curve; the procedure capacity searches several."))
    elif any(point.p99_ms is not None or point.p50_ms is not None for run in curves for point in run.load):
        blocks.append(
            Picture(
                key="load",
                draw=lambda: load_picture("load", curves, page.looks),
                alt="Latency against offered load. " + " ".join(_told(run) for run in curves),
                caption="Thick: p99 with its interval; thin: p50. Filled marks kept the SLO, hollow ones broke it, "
                "pale ones leave it open; the large one is the confirmation run; crosses are invalid. Shaded upright: "
                "the rate that is held, and its interval. Triangle on the axis: the knee. Dashed: the limit. Arrow: at "
                "least this, it falls into the timeouts.",
                wide=True,
            )
        )
    else:
        blocks.append(Note("No step was long enough to support a percentile, so there is no curve."))
    blocks.append(_steps(curves))
    for run in page.runs:
        found = run.result.capacity
        if found is not None and found.censored:
            limit = "the client" if found.censored == "client" else "the highest rate allowed"
            blocks.append(Note(f"{run.label}: the search was ended by {limit}, so the rate is only a lower bound."))
    return Section("load", _TITLE, tuple(blocks))


def _steps(curves: list[RunView]) -> Block:
    rows = [(run.label, *_row(point)) for run in curves for point in run.load]
    columns = [
        Column("target", "target"),
        Column("offered (requests/s)", "number"),
        Column("step"),
        Column("SLO", "state"),
        Column("goodput (ok/s)", "number"),
        Column("ok", "number"),
        Column("n", "number"),
        Column("p50 (ms)", "number"),
        Column("p99 (ms)", "number"),
        Column(INTERVAL, "number"),
        Column("shed", "number"),
        Column("errors", "number"),
    ]
    return table("Every rate that was tried", columns, rows)


def _row(point: LoadPoint) -> tuple[Cell, ...]:
    state: Cell = point.status if isinstance(point.status, Status) else ""
    p99 = numbers.significant(point.p99_ms)
    return (
        numbers.significant(point.rate_rps),
        printable(point.purpose, 20),
        state,
        numbers.significant(point.goodput_rps),
        numbers.share(point.ok_share),
        numbers.count(point.n),
        numbers.significant(point.p50_ms),
        f"≥ {p99}" if point.p99_censored else p99,
        numbers.interval(point.p99_interval),
        numbers.share(point.shed_share),
        numbers.share(point.error_share),
    )


def _told(run: RunView) -> str:
    shown = [point for point in run.load if point.p99_ms is not None]
    if not shown:
        return f"{run.label}: no step supports a p99."
    first, last = shown[0], shown[-1]
    text = (
        f"{run.label}: p99 {numbers.significant(first.p99_ms)} ms at {numbers.significant(first.rate_rps)} requests/s"
    )
    if last is not first:
        text += f", {numbers.significant(last.p99_ms)} ms at {numbers.significant(last.rate_rps)}"
    return f"{text}."
