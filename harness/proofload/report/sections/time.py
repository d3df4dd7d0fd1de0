"""Each run over time, with its phases and events."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from proofload.report import numbers
from proofload.report.document import Block, Column, Note, Picture, Section, table
from proofload.report.pictures.timeline import MAX_MARKS, timeline_picture
from proofload.report.sections.page import Page
from proofload.report.view import EventMark, RunView

_BARS = "▁▂▃▄▅▆▇█"
_SKETCH_WIDTH = 48
_TABLED = 30
_BESIDE = 14
"""More events than this stand below the picture, not beside it."""


def section(page: Page) -> Section:
    blocks: list[Block] = []
    for place, run in enumerate(page.runs):
        if run.time is None:
            blocks.append(Note(f"{run.label}: no samples were recorded, so there is nothing to draw."))
            continue
        blocks.append(_picture(page, run, place))
    rows = []
    for run in page.runs:
        numbered = _marks(run)
        for mark in run.events[:_TABLED]:
            number = str(numbered.index(mark) + 1) if mark in numbered else ""
            rows.append((run.label, number, f"{numbers.significant(mark.t_s)} s", mark.kind, mark.text))
        more = len(run.events) - _TABLED + run.events_left_out
        if more > 0:
            rows.append((run.label, "", "", f"{numbers.count(more)} more", "see events.jsonl in the run folder"))
    if rows:
        columns = [
            Column("target", "target"),
            Column("mark", "number"),
            Column("at", "number"),
            Column("event"),
            Column("detail"),
        ]
        caption = "Events, counted from the start of the first phase"
        blocks.append(table(caption, columns, rows, wide=page.several or len(rows) > _BESIDE))
    else:
        blocks.append(Note("No events were recorded besides the phases."))
    return Section("time", "Over time", tuple(blocks))


def _picture(page: Page, run: RunView, place: int) -> Picture:
    key = f"time{place}"
    marks = _marks(run)
    assert run.time is not None  # the caller left those out
    width = numbers.seconds(run.time.width_s)
    return Picture(
        key=key,
        draw=lambda: timeline_picture(key, run, marks, page.looks[run.label]),
        alt=_told(run),
        caption=f"{run.label}, in bins of {width}. Shaded: measured phases; dotted: other phases begin; numbered: "
        "events, see the table. Latency by due time, of the requests in each bin (p99 where a bin has at least 100).",
        sketch=_sketch(run),
    )


def _marks(run: RunView) -> Sequence[EventMark]:
    """The events that a picture numbers: those within the run, the first dozen."""
    end = max((phase.end_s for phase in run.phases), default=math.inf)
    return [mark for mark in run.events if 0 <= mark.t_s <= end + 1][:MAX_MARKS]


def _told(run: RunView) -> str:
    series = run.time
    assert series is not None  # see _picture
    seen = np.concatenate([bins.p50[np.isfinite(bins.p50)] for bins in series.latency] or [np.array([])])
    text = (
        f"{run.label} over time: up to {numbers.significant(float(series.due_rps.max()))} requests/s were due, "
        f"up to {numbers.significant(float(series.ended_rps['ok'].max()))} were answered correctly and in time"
    )
    if len(seen):
        text += (
            f"; the median latency of a bin lay between {numbers.significant(float(seen.min()))} "
            f"and {numbers.significant(float(seen.max()))} ms"
        )
    return f"{text}."


def _sketch(run: RunView) -> str:
    series = run.time
    assert series is not None  # see _picture
    due, ok = _bars(series.due_rps), _bars(series.ended_rps["ok"], top=float(series.due_rps.max()))
    return f"due  {due}\nok   {ok}"


def _bars(values: NDArray[np.float64], top: float | None = None) -> str:
    parts = [part for part in np.array_split(values, min(_SKETCH_WIDTH, len(values))) if len(part)]
    means = np.array([part.mean() for part in parts])
    highest = top or float(means.max())
    if highest <= 0:
        return _BARS[0] * len(means)
    return "".join(_BARS[min(len(_BARS) - 1, int(mean / highest * len(_BARS)))] for mean in means)
