"""The tail: the whole distribution as a curve, and its percentiles with what stands behind them."""

from __future__ import annotations

import dataclasses

from proofload.records import Distribution
from proofload.report import numbers
from proofload.report.document import Block, Column, Note, Picture, Section, table
from proofload.report.pictures.percentiles import tail_picture
from proofload.report.reduce.load_curve import share_of
from proofload.report.sections.page import INTERVAL, Page
from proofload.report.sentences import telling_phases
from proofload.report.text import printable
from proofload.report.view import RunView

_NAMES = ("p50", "p90", "p95", "p99", "p99_9", "p99_99")


def section(page: Page) -> Section:
    blocks: list[Block] = []
    drawn = [_telling(run) for run in page.runs if run.tails]
    if drawn:
        blocks.append(
            Picture(
                key="tail",
                draw=lambda: tail_picture("tail", drawn, page.looks),
                alt="Latency by percentile. " + " ".join(_told(run) for run in drawn),
                caption="Each curve ends where its sample no longer supports a percentile. Bands: the intervals at "
                "the percentiles of the table, interpolated between them. Dashed: the limit, with a mark at the "
                "percentile that it binds. Dotted: timeouts, so at least this much.",
                wide=True,
            )
        )
    names = [name for name in _NAMES if name != "p99_99" or _supported(page, name)]
    rows = []
    parts = []
    for run in page.runs:
        for phase in telling_phases(run.result):
            if not phase.latency.n:
                continue
            shares = (numbers.share(share_of(phase, "shed")), numbers.share(share_of(phase, "error")))
            name = printable(phase.name, 40) if len(telling_phases(run.result)) > 1 else ""
            for quantile in names:
                found = phase.latency.quantiles.get(quantile)
                if found is not None:
                    bounds = numbers.interval(found.interval)
                    n = numbers.count(phase.latency.n)
                    told = quantile.replace("_", ".")
                    rows.append((run.label, name, told, numbers.quantile(found), bounds, n, *shares))
            parts.append((run.label, name, "service time", *_distribution(phase.service)))
            parts.append((run.label, name, "connection wait", *_distribution(phase.connection_wait)))
    if rows:
        columns = [
            Column("target", "target"),
            Column("phase"),
            Column("percentile"),
            Column("latency (ms)", "number"),
            Column(INTERVAL, "number"),
            Column("n", "number"),
            Column("shed", "number"),
            Column("errors", "number"),
        ]
        blocks.append(table("Latency percentiles", columns, rows))
        columns = [Column("target", "target"), Column("phase"), Column("part"), Column("n", "number")]
        columns += [Column(f"{name.replace('_', '.')} (ms)", "number") for name in ("mean", "p50", "p99", "p99_9")]
        columns.append(Column("max (ms)", "number"))
        blocks.append(
            table("Parts of latency. Service time: sent to answered. Connection wait: due but unsent", columns, parts)
        )
    if not blocks:
        blocks.append(Note("No measured request has a latency, so there is no curve."))
    return Section("tail", "The tail", tuple(blocks))


def _distribution(found: Distribution) -> tuple[str, ...]:
    return (
        numbers.count(found.n),
        numbers.significant(found.mean_ms),
        *(numbers.quantile(found.quantiles.get(name)) for name in ("p50", "p99", "p99_9")),
        numbers.significant(found.max_ms),
    )


def _supported(page: Page, name: str) -> bool:
    return any(
        (found := phase.latency.quantiles.get(name)) is not None and found.value is not None
        for run in page.runs
        for phase in telling_phases(run.result)
    )


def _telling(run: RunView) -> RunView:
    """Of a capacity search only the last confirmation is drawn."""
    if run.result.capacity is None:
        return run
    return dataclasses.replace(run, tails=run.tails[-1:])


def _told(run: RunView) -> str:
    curve = run.tails[-1]
    middle = curve.ms[(curve.beyond <= 0.5).argmax()]
    depth = numbers.plain(round((1 - curve.beyond[-1]) * 100, 2))
    bound = "at least " if curve.censored_from is not None else ""
    return (
        f"{run.label}: median {numbers.significant(float(middle))} ms, p{depth} {bound}"
        f"{numbers.significant(float(curve.ms[-1]))} ms, n {numbers.count(curve.n)}."
    )
