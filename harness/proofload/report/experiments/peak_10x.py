"""Goodput against load with its cliff; the hold and the way back on a time axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import Outcome, Result
from proofload.report import numbers
from proofload.report.document import Block, Column, Note, Picture, table
from proofload.report.pictures.overload import Hold, curve_picture, hold_picture

if TYPE_CHECKING:
    from proofload.report.sections.page import Page
    from proofload.report.view import Recorded, RunView

_BINS = 120
"""Bins of the time axis, at most; none shorter than half a second."""
_POINTS = 1500
"""Dots of each kind in the latency panel, at most."""
_BACK = "back at 1×"


def create() -> PeakExperiment:
    return PeakExperiment()


class PeakExperiment:
    title = "At ten times the load"

    def reduce(self, record: Recorded, result: Result) -> Hold | None:
        steps = {step["name"]: step for step in result.details.get("steps", ())}
        phases = [phase for phase in record.phases if phase.name in steps]
        if not phases:
            return None
        begin = phases[0].start_ns
        rows = np.concatenate([_columns(record.samples(phase.index).table, begin) for phase in phases])
        end_s = max((phase.start_ns - begin) / NS_PER_S + phase.duration_s for phase in phases)
        end_s = max(end_s, 1.0)
        edges = np.linspace(0.0, end_s, max(2, min(_BINS, round(end_s * 2))) + 1)
        width = float(edges[1])
        kinds = {
            "ok": (Outcome.OK,),
            "refused": (Outcome.SHED,),
            "in vain": (Outcome.LATE, Outcome.TIMEOUT),
            "error": (Outcome.ERROR, Outcome.WRONG),
        }
        peak = next((phase for phase in phases if steps[phase.name]["peak"]), None)
        return Hold(
            edges_s=edges,
            due_rps=np.histogram(rows["due_s"], edges)[0] / width,
            ended_rps={
                name: np.histogram(rows["done_s"][np.isin(rows["outcome"], outcomes)], edges)[0] / width
                for name, outcomes in kinds.items()
            },
            accepted=_some(rows[np.isin(rows["outcome"], (Outcome.OK, Outcome.LATE, Outcome.TIMEOUT))]),
            refused=_some(rows[rows["outcome"] == Outcome.SHED]),
            marks=tuple(((phase.start_ns - begin) / NS_PER_S, phase.name) for phase in phases),
            peak_s=None if peak is None else _span(peak.start_ns - begin, peak.duration_s),
        )

    def blocks(self, page: Page, run: RunView, place: int) -> tuple[Block, ...]:
        found, hold = run.result.details, run.experiment
        steps = found.get("steps", ())
        if not steps or hold is None:
            return (Note(f"{run.label}: there was no ramp, so there is nothing to draw."),)
        look = page.looks[run.label]
        curve, over_time = f"peak-curve{place}", f"peak-hold{place}"
        return (
            Picture(
                key=curve,
                draw=lambda: curve_picture(curve, found, look),
                alt=f"{run.label}: goodput against offered load. {_told(steps)}",
                caption=f"{run.label}: what was completed in time, by what was asked for. Grey: as much as was asked. "
                "Dashed: the least that is asked for at the peak. Bar: its 99 % interval. Square: back at 1×.",
            ),
            Picture(
                key=over_time,
                draw=lambda: hold_picture(over_time, hold, found, look),
                alt=f"{run.label}: the ramp, the hold and the way back over time. {_back(found)}",
                caption=f"{run.label}: requests due and how they ended, by completion; below, how long accepted work "
                "and refusals took, by due time (a sample of them). Shaded: the hold. Line: itself again.",
                sketch=_sketch(hold),
            ),
            _steps(steps),
            _facts(found),
            *_unseen(found),
        )


def _span(begin_ns: int, duration_s: float) -> tuple[float, float]:
    return begin_ns / NS_PER_S, begin_ns / NS_PER_S + duration_s


def _columns(rows: NDArray[np.void], begin_ns: int) -> NDArray[np.void]:
    there = rows[(rows["mirror"] == 0) & (rows["done_ns"] > 0)]
    out = np.zeros(len(there), dtype=[("due_s", "f8"), ("done_s", "f8"), ("ms", "f8"), ("outcome", "u1")])
    out["due_s"] = (there["intended_ns"] - begin_ns) / NS_PER_S
    out["done_s"] = (there["done_ns"] - begin_ns) / NS_PER_S
    out["ms"] = (there["done_ns"] - there["intended_ns"]) / NS_PER_MS
    out["outcome"] = there["outcome"]
    return out


def _some(rows: NDArray[np.void]) -> NDArray[np.float64]:
    chosen = rows[:: max(1, -(-len(rows) // _POINTS))]
    return np.column_stack([chosen["due_s"], chosen["ms"]])


def _told(steps: Sequence[Mapping[str, Any]]) -> str:
    return " ".join(
        f"{step['name']}: {numbers.significant(step['goodput_rps'])} of {numbers.significant(step['offered_rps'])}/s."
        for step in steps
    )


def _back(found: Mapping[str, Any]) -> str:
    after = found["recovery"]["after_s"]
    return "It did not recover." if after is None else f"Itself again {numbers.seconds(after)} after the peak."


def _sketch(hold: Hold) -> str:
    bars = "▁▂▃▄▅▆▇█"
    top = max(float(hold.due_rps.max()), 1e-9)

    def row(values: NDArray[np.float64]) -> str:
        means = [part.mean() for part in np.array_split(values, min(48, len(values)))]
        return "".join(bars[min(7, int(mean / top * 8))] for mean in means)

    return f"due  {row(hold.due_rps)}\nok   {row(hold.ended_rps['ok'])}"


def _steps(steps: Sequence[Mapping[str, Any]]) -> Block:
    columns = [
        Column("step"),
        Column("offered (requests/s)", "number"),
        Column("goodput (ok/s)", "number"),
        Column("ok", "number"),
        Column("refused", "number"),
        Column("late", "number"),
        Column("timed out", "number"),
        Column("error", "number"),
        Column("p50 (ms)", "number"),
        Column("p90 (ms)", "number"),
    ]
    rows = []
    for step in steps:
        ended = step["outcomes"]
        total = sum(ended.values())
        shares = [ended[name] / total if total else None for name in ("ok", "shed", "late", "timeout", "error")]
        rows.append(
            (
                "back at 1×" if step["back"] else step["name"],
                numbers.significant(step["offered_rps"]),
                numbers.significant(step["goodput_rps"]),
                *(numbers.share(share) for share in shares),
                numbers.significant(step["p50_ms"]),
                numbers.significant(step["p90_ms"]),
            )
        )
    caption = "Step by step; beyond 1×, without the first part of each, in which the one before still shows"
    return table(caption, columns, rows)


def _unseen(found: Mapping[str, Any]) -> tuple[Block, ...]:
    return tuple(
        Note(f"Not part of the verdict: {name.replace('_', ' ')} ({why}). It only helps to name a cause.")
        for name, why in found.get("unseen", {}).items()
    )


def _facts(found: Mapping[str, Any]) -> Block:
    accepted, refusals, queue, recovery = (found[name] for name in ("accepted", "refusals", "queue", "recovery"))
    rows: list[tuple[str, str]] = []
    if found["capacity_rps"] is not None:
        least = "at least " if found["capacity_at_least"] else "about "
        rows.append(("what it can serve, from a few bursts", f"{least}{numbers.significant(found['capacity_rps'])}/s"))
    if found["base_rps"] is not None:
        rows.append(("base load (1×)", f"{numbers.significant(found['base_rps'])}/s"))
    if accepted:
        took = f"p50 {numbers.significant(accepted['p50_ms'])} ms, p99 {numbers.significant(accepted['p99_ms'])} ms"
        rows.append(("accepted work at the peak", f"{took}, n {numbers.count(accepted['n'])}"))
        late = (
            f"{numbers.count(accepted['answered_late'])} answered late, {numbers.count(accepted['gave_up'])} given up"
        )
        rows.append(("work that was in vain", late))
    if refusals and refusals["n"]:
        took = f"p50 {numbers.significant(refusals['p50_ms'])} ms, p95 {numbers.significant(refusals['p95_ms'])} ms"
        rows.append(("refusals at the peak", f"{took}, n {numbers.count(refusals['n'])}"))
    if queue:
        course = " → ".join(numbers.count(count) for count in queue["in_flight"][::2])
        rows.append(("requests waiting for their end, over the hold", course))
    if found["attempts_at_peak"] and found["attempts_at_peak"] > 1:
        rows.append(("tries per request at the peak", numbers.significant(found["attempts_at_peak"])))
    again = recovery["after_s"]
    if again is not None:
        rows.append(("itself again after the peak", numbers.seconds(again)))
    elif recovery["metastable"]:
        rows.append(("itself again after the peak", f"not within {numbers.seconds(recovery['watched_s'])}: metastable"))
    if found.get("others_share") is not None:
        rows.append(("of its cores, used by other processes meanwhile", numbers.share(found["others_share"])))
    return table("At the peak and after it", ["what", Column("seen")], rows)
