"""Every lifetime that was planned, and what became of it: nothing is left out unseen."""

from __future__ import annotations

from proofload.comparing.found import Comparison
from proofload.report import numbers
from proofload.report.document import Block, Cell, Column, Note, Section, table
from proofload.report.text import printable

TITLE = "Every lifetime"


def lifetimes(found: Comparison) -> Section:
    kept = found.conservation
    counts = [
        ("planned", kept.planned),
        ("valid, and used", kept.valid - kept.pairs_dropped),
        ("attempts", kept.attempts),
        ("invalid, made again while that was allowed", kept.invalid),
        ("cut short, made again", kept.interrupted),
        ("not started, made again", kept.not_started),
        ("damaged or of another run, made again while that was allowed", len(kept.unusable)),
        ("lost", len(kept.lost)),
    ]
    rows: list[tuple[Cell, ...]] = [(what, numbers.count(count)) for what, count in counts]
    blocks: list[Block] = [table("What became of them", ["lifetimes", Column("count", "number")], rows, wide=False)]
    blocks += [Note(f"Not used: {printable(told, 400)}.") for told in kept.unusable]
    if kept.lost:
        blocks.append(Note(f"Lost: {', '.join(kept.lost)}."))
    if kept.pairs_dropped:
        blocks.append(Note(f"{kept.pairs_dropped} pairs were left out: their lifetimes were made on different hosts."))
    if found.readings:
        blocks.append(_readings(found))
    return Section("lifetimes", TITLE, tuple(blocks))


def _readings(found: Comparison) -> Block:
    rows: list[tuple[Cell, ...]] = [
        (
            label,
            one.name,
            numbers.count(one.pair + 1),
            numbers.significant(one.offered_rps),
            numbers.count(one.answers),
            numbers.share(one.ok_share),
            numbers.significant(one.service_p50),
            numbers.significant(one.latency.get("p50")),
            numbers.significant(one.latency.get("p99")),
        )
        for label, one in found.readings
    ]
    columns = [
        Column("option", "target"),
        Column("run folder"),
        Column("pair", "number"),
        Column("offered (requests/s)", "number"),
        Column("answers", "number"),
        Column("answered well", "number"),
        Column("median service (ms)", "number"),
        Column("p50 (ms)", "number"),
        Column("p99 (ms)", "number"),
    ]
    return table("What each showed", columns, rows)
