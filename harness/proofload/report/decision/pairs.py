"""Pair by pair: how each candidate differs from the baseline, and what that was judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proofload.comparing.found import Comparison, Metric
from proofload.report import numbers
from proofload.report.decision.words import between, percent
from proofload.report.document import Block, Cell, Column, Look, Note, Picture, Section, table
from proofload.report.numbers import short
from proofload.report.pictures.pairs import Row, pairs_picture

TITLE = "Pair by pair"


def pairs(found: Comparison, looks: Mapping[str, Look]) -> Section:
    metrics = [(one.candidate, one.scenario, metric) for one in found.besides for metric in one.metrics]
    if not metrics:
        return Section("pairs", TITLE, (Note("No load was put on in pairs: add --scenario load."),))
    several = len({scenario for _, scenario, _ in metrics}) > 1
    blocks: list[Block] = []
    rows = [_row(who, f"{metric.kind.title}{f', {scenario}' if several else ''}", metric)
            for who, scenario, metric in metrics if metric.factor is not None]  # fmt: skip
    if rows:
        blocks.append(_picture(rows, looks))
    blocks.append(_table(metrics, several=several))
    blocks.append(Note(_explained(metrics)))
    return Section("pairs", TITLE, tuple(blocks))


def _row(candidate: str, metric: str, found: Metric) -> Row:
    assert found.factor is not None
    return Row(
        candidate=candidate,
        metric=metric,
        factors=tuple(theirs / ours for _, ours, theirs in found.pairs),
        factor=found.factor,
        interval=found.interval,
        margin=found.margin,
        worse_is_more=not found.kind.higher_is_better,
    )


def _picture(rows: Sequence[Row], looks: Mapping[str, Look]) -> Picture:
    told = "; ".join(f"{row.candidate}, {row.metric}: {percent(row.factor)}" for row in rows)
    return Picture(
        key="pairs",
        draw=lambda: pairs_picture("pairs", rows, looks),
        alt=f"Candidate against baseline, one dot a pair of lifetimes. {told}.",
        caption="Each dot is a pair of fresh lifetimes, the first at the bottom; the bar is the interval of their "
        "trimmed mean. Within the grey band a difference does not matter.",
        wide=True,
    )


def _table(metrics: Sequence[tuple[str, str, Metric]], *, several: bool) -> Block:
    rows: list[tuple[Cell, ...]] = []
    for who, scenario, metric in metrics:
        needed = f"; about {metric.pairs_needed} pairs would tell" if metric.pairs_needed else ""
        told = f" Not waited for: {metric.why_not}" if metric.why_not else ""
        rows.append(
            (
                who,
                scenario if several else "",
                metric.kind.title,
                metric.standing,
                numbers.MISSING if metric.factor is None else percent(metric.factor),
                between(metric.interval),
                f"{100 * metric.margin:g} %",
                numbers.MISSING if metric.floor is None else f"{short(100 * (metric.floor - 1), 2)} %",
                numbers.count(len(metric.pairs)),
                numbers.chance(metric.signs),
                f"{metric.because}{needed}.{told}",
            )
        )
    columns = [
        Column("candidate", "target"),
        Column("load"),
        Column("metric"),
        Column("standing", "state"),
        Column("change", "number"),
        Column("interval", "number"),
        Column("margin", "number"),
        Column("own noise", "number"),
        Column("pairs", "number"),
        Column("chance of the signs", "number"),
        Column("because"),
    ]
    return table("Candidates against the baseline", columns, rows)


def _explained(metrics: Sequence[tuple[str, str, Metric]]) -> str:
    level = metrics[0][2].level
    return (
        f"Intervals are at {short(100 * level, 4)} % each, so that all of them together are wrong at most at the "
        "rate set. Worse: all of the interval beyond the margin and beyond the own noise, which is what a target "
        "differs from itself over so many pairs, nineteen times in twenty; and the signs agree: the chance of so many "
        "pairs on the worse side, were each a coin's throw."
    )
