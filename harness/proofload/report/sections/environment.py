"""On what it ran: everything recorded of the host, the versions and the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from proofload.report import numbers
from proofload.report.document import Block, Column, Note, Section, table
from proofload.report.sections.page import Page
from proofload.report.text import printable
from proofload.report.view import RunView

_MAX_FACTS = 120


def section(page: Page) -> Section:
    facts = [dict(_facts(run)) for run in page.runs]
    keys = list(dict.fromkeys(key for found in facts for key in found))
    if not keys:
        return Section("environment", "Environment", (Note("The run recorded nothing of its environment."),))
    same = [key for key in keys if len({found.get(key) for found in facts}) == 1]
    rows = [(key, facts[0][key]) for key in same][:_MAX_FACTS]
    blocks: list[Block] = []
    if rows:
        caption = "The same for every run" if page.several else "Host, versions and settings"
        blocks.append(table(caption, ["what", "value"], rows))
    differing = [key for key in keys if key not in same]
    if differing:
        columns = [Column("what"), *(Column(run.label) for run in page.runs)]
        various = [(key, *(found.get(key, numbers.MISSING) for found in facts)) for key in differing]
        blocks.append(table("Different between the runs", columns, various[:_MAX_FACTS]))
    return Section("environment", "Environment", tuple(blocks))


def _facts(run: RunView) -> Iterator[tuple[str, str]]:
    result = run.result
    yield from _flat("target", result.target)
    if run.versions:
        answered = (f"{name} ({numbers.count(count)})" for name, count in sorted(run.versions.items()))
        yield "versions that answered", ", ".join(answered)
    yield "started at", printable(result.started_at)
    yield "took", numbers.seconds(result.duration_s)
    if "seed" in run.run:
        yield "seed", printable(run.run["seed"])
    for key in ("quick", "payloads", "placement"):
        if key in run.run:
            yield from _flat(key, run.run[key])
    yield from _flat("", result.environment)


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            name = printable(key, 60).replace("_", " ")
            yield from _flat(f"{prefix} · {name}" if prefix else name, inner)
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        yield prefix, printable(", ".join(str(item) for item in value), 300)
    elif value is not None:
        yield prefix, printable(value, 300)
