"""Is the measurement valid? The closed list of doubts about the client, and how each was answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from proofload.records import Distribution, Status, Validity
from proofload.report import numbers
from proofload.report.document import Block, Cell, Column, Lines, Note, Section, table
from proofload.report.sections.page import Page
from proofload.report.text import printable
from proofload.report.view import RunView


def section(page: Page) -> Section:
    blocks: list[Block] = [Lines((_verdict(page),))]
    if page.several:
        blocks += _matrix(page)
    else:
        blocks.append(_items(page.runs[0]))
    client = _client(page)
    blocks.append(client if client is not None else Note("The client left no record of its own health."))
    warmups = tuple(_warmup(run) for run in page.runs)
    if any(warmups):
        blocks.append(Lines(tuple(text for text in warmups if text)))
    return Section("validity", "Is the measurement valid?", tuple(blocks))


def _verdict(page: Page) -> str:
    broken = [run.label for run in page.runs if any(not item.ok for item in run.result.validity)]
    bare = [run.label for run in page.runs if not run.result.validity]
    if broken:
        return f"No, not for {', '.join(broken)}: the numbers below say as much about the client as about the target."
    if bare:
        return f"Unknown for {', '.join(bare)}: no validity item was recorded. Missing evidence is not a pass."
    items = max(len(run.result.validity) for run in page.runs)
    return f"Yes: all {items} items hold{' for every target' if page.several else ''}."


def _items(run: RunView) -> Block:
    if not run.result.validity:
        return Note("No validity item was recorded.")
    rows = [
        (_code(item), _state(item), printable(item.detail, 240), "" if item.ok else printable(item.remedy, 240))
        for item in run.result.validity
    ]
    return table("Validity, item by item", ["item", Column("holds", "state"), "what was seen", "what to do"], rows)


def _matrix(page: Page) -> list[Block]:
    codes = list(dict.fromkeys(item.code for run in page.runs for item in run.result.validity))
    if not codes:
        return [Note("No validity item was recorded.")]
    rows: list[list[Cell]] = []
    for code in codes:
        row: list[Cell] = [printable(code, 60).replace("_", " ").replace("-", " ")]
        for run in page.runs:
            item = next((item for item in run.result.validity if item.code == code), None)
            row.append("not recorded" if item is None else _state(item))
        rows.append(row)
    columns = [Column("item"), *(Column(run.label, "state") for run in page.runs)]
    blocks: list[Block] = [table("Validity by target", columns, rows)]
    broken = [
        (run.label, _code(item), printable(item.detail, 240), printable(item.remedy, 240))
        for run in page.runs
        for item in run.result.validity
        if not item.ok
    ]
    if broken:
        columns = [Column("target", "target"), Column("item"), Column("what was seen"), Column("what to do")]
        blocks.append(table("What broke it", columns, broken))
    return blocks


def _client(page: Page) -> Block | None:
    rows = []
    for run in page.runs:
        client = run.result.client
        if client is None:
            continue
        lag = client.send_lag
        rows.append(
            (
                run.label,
                _of(lag, "p50"),
                _of(lag, "p99"),
                numbers.significant(lag.max_ms),
                numbers.count(lag.n),
                numbers.share(client.cpu_share),
                numbers.share(client.runqueue_share),
                numbers.count(client.loop_stalls),
                numbers.significant(client.gc_pause_ms),
                numbers.count(client.cores),
            )
        )
    if not rows:
        return None
    columns = [Column("target", "target")] + [
        Column(title, "number")
        for title in (
            "send lag p50 (ms)",
            "p99 (ms)",
            "max (ms)",
            "n",
            "CPU, busiest engine",
            "waited for a core",
            "loop stalls",
            "collection (ms)",
            "engines",
        )
    ]
    return table("The client, while it drove each target", columns, rows)


def _of(lag: Distribution, name: str) -> str:
    return numbers.quantile(lag.quantiles.get(name))


def _state(item: Validity) -> Status:
    return Status.PASS if item.ok else Status.INVALID


def _code(item: Validity) -> str:
    return printable(item.code, 60).replace("_", " ").replace("-", " ")


def _warmup(run: RunView) -> str:
    """What was left out and why, in a sentence; the figures behind it follow in brackets."""
    left_out = sum(phase.excluded for phase in run.result.phases if phase.measured)
    why = printable(run.result.warmup.get("detail", ""), 240).rstrip(".")
    figures = ", ".join(
        _figure(key, value) for key, value in run.result.warmup.items() if key not in {"excluded", "detail"}
    )
    if not (left_out or why or figures):
        return ""
    counted = f"{numbers.count(left_out)} requests were left out as warm-up" if left_out or not why else ""
    said = ": ".join(part for part in (run.label, counted, why) if part)
    return f"{said} ({figures})." if figures else f"{said}."


_SAID: Mapping[str, Callable[[float], str]] = {
    "p_value": lambda value: f"p = {numbers.significant(value)}",
    "slower_by": lambda value: f"{numbers.significant(value)} times as slow as the rest",
    "ok_before": lambda value: f"{numbers.share(value)} ok in it",
    "ok_after": lambda value: f"{numbers.share(value)} ok after it",
}


def _figure(key: str, value: object) -> str:
    number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    if number is None:
        return f"{_words(key)}: {printable(value, 80)}"
    if key in _SAID:
        return _SAID[key](number)
    if key.endswith("_s"):
        return f"{_words(key.removesuffix('_s'))}: {numbers.seconds(number)}"
    return f"{_words(key)}: {numbers.significant(number)}"


def _words(key: str) -> str:
    return printable(key, 40).replace("_", " ")
