"""Where time went: the client's clock outside, the server's own histograms inside; and what the server used."""

from __future__ import annotations

from collections.abc import Mapping

from proofload.report import numbers
from proofload.report.document import Block, Column, Note, Picture, Section, table
from proofload.report.pictures.parts import parts_picture
from proofload.report.sections.gauges import named, order
from proofload.report.sections.page import Page
from proofload.report.view import RunView


def section(page: Page) -> Section:
    blocks: list[Block] = []
    bars = [(run.label, parts) for run in page.runs if (parts := _parts(run))]
    if bars:
        blocks.append(
            Picture(
                key="parts",
                draw=lambda: parts_picture("parts", bars),
                alt="Mean latency by part. " + " ".join(_told(label, parts) for label, parts in bars),
                caption="Mean latency of answered requests, in the order a request passes its parts. Queue and compute "
                "are the server's own; outside the model is what is left of the service time: network, parsing, "
                "the web framework.",
            )
        )
        names = list(dict.fromkeys(name for _, parts in bars for name in parts))
        rows = [
            (
                label,
                *(numbers.significant(parts[name]) if name in parts else "" for name in names),
                numbers.significant(sum(parts.values())),
            )
            for label, parts in bars
        ]
        columns = [Column("target", "target"), *(Column(f"{name} (ms)", "number") for name in names)]
        blocks.append(table("Mean parts of latency", [*columns, Column("in all (ms)", "number")], rows, wide=False))
    else:
        blocks.append(Note("No request was answered in a measured phase, so there is no time to divide."))
    blind = [run.label for run in page.runs if run.server is None]
    if blind:
        blocks.append(
            Note(
                f"The inside is unknown for {', '.join(blind)}: no queue and compute histograms were read. The target "
                "file's [probe] metrics names the page that has them."
            )
        )
    blocks += [Note(text) for run in page.runs if (text := _contradiction(run))]
    blocks += [Note(text) for run in page.runs if (text := _cached(run))]
    blocks.append(_resources(page))
    return Section("server", "Where time went in the server", tuple(blocks))


def _parts(run: RunView) -> Mapping[str, float]:
    """Part → mean ms; empty when the client saw no answer."""
    means, server = run.means, run.server
    if means is None:
        return {}
    parts = {"send lag": max(means.send_lag_ms, 0.0), "connection wait": max(means.connection_wait_ms, 0.0)}
    if server is None:
        return {**parts, "service": means.service_ms}
    outside = max(means.service_ms - server.queue_ms - server.compute_ms, 0.0)
    return {**parts, "outside the model": outside, "queue": server.queue_ms, "compute": server.compute_ms}


def _contradiction(run: RunView) -> str:
    """Empty unless the server's own means exceed what the client saw of it."""
    if run.server is None or run.means is None:
        return ""
    inside = run.server.queue_ms + run.server.compute_ms
    if inside <= run.means.service_ms:
        return ""
    own, seen = numbers.significant(inside), numbers.significant(run.means.service_ms)
    return (
        f"{run.label}: the server's own means add up to {own} ms, more than the service time of {seen} ms: its "
        "histograms hold requests that are not counted here, too."
    )


def _cached(run: RunView) -> str:
    """Empty unless the target counts the hits of a cache."""
    cache = run.cache
    if cache is None:
        return ""
    joined = f", {numbers.share(cache.joined / cache.asked)} shared an equal one's computation" if cache.joined else ""
    skipped = f", {numbers.share(cache.skipped / cache.asked)} were not looked up" if cache.skipped else ""
    return (
        f"{run.label}: {numbers.share(cache.hit_share)} of {numbers.count(cache.asked)} requests were answered from "
        f"its prediction cache{joined}{skipped}. Of real traffic the share depends on how often it "
        "repeats itself; here it is as often as requests were drawn from the payload file."
    )


def _told(label: str, parts: Mapping[str, float]) -> str:
    return f"{label}: {', '.join(f'{name} {numbers.significant(value)} ms' for name, value in parts.items())}."


def _resources(page: Page) -> Block:
    rows = []
    for run in page.runs:
        for gauge in sorted(run.gauges, key=order):
            title, scale = named(gauge)
            if title:
                figures = (gauge.first, gauge.average, gauge.peak, gauge.last)
                title = f"instance {gauge.arm + 1}: {title}" if gauge.arm else title  # a canary, a second worker
                rows.append((run.label, title, *(numbers.significant(figure / scale) for figure in figures)))
    if not rows:
        return Note("No probe read the target's processes, so its CPU and memory are unknown.")
    columns = [Column("target", "target"), Column("resource")]
    columns += [Column(name, "number") for name in ("at first", "mean", "peak", "at last")]
    return table("What the target's processes used", columns, rows)
