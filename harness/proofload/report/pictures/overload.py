"""An overload on a whiteboard: goodput against load with the cliff, and the hold with the way back over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from proofload.report.document import Look
from proofload.report.pictures.canvas import INK, LIMIT, QUIET, counting, draw, log_latency

_ENDS = {
    "refused": ("#0072b2", (0, (3, 1.2))),
    "in vain": ("#d55e00", (0, (1.2, 1.2))),
    "error": ("#a61e1e", "-"),
}


@dataclass(frozen=True, slots=True)
class Hold:
    """The ramp, the hold and the return over time, in seconds since the ramp began."""

    edges_s: NDArray[np.float64]
    due_rps: NDArray[np.float64]
    ended_rps: Mapping[str, NDArray[np.float64]]
    """By completion: "ok", "shed", "in vain" (late, timeout), "error"."""
    accepted: NDArray[np.float64]
    """(due s, latency ms) of some of the answered, late and timed-out requests; "refused" likewise of the shed ones."""
    refused: NDArray[np.float64]
    marks: Sequence[tuple[float, str]]
    """(s, name) where a step begins."""
    peak_s: tuple[float, float] | None


def curve_picture(key: str, found: Mapping[str, Any], look: Look) -> str:
    """`found`: the details of a peak-10x result."""
    steps = [step for step in found["steps"] if not step["back"]]
    back = [step for step in found["steps"] if step["back"]]
    offered = np.array([step["offered_rps"] for step in steps])
    goodput = np.array([step["goodput_rps"] for step in steps])

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        right, top = float(offered.max()) * 1.06, max(float(goodput.max()), 1e-9) * 1.3
        axes.plot([0, right], [0, right], color=QUIET, linewidth=0.8, label="as much as was asked")
        axes.plot(offered, goodput, color=look.colour, marker=look.marker, linestyle="-", zorder=3, label="goodput")
        for step in steps:
            axes.annotate(
                step["name"],
                (step["offered_rps"], step["goodput_rps"]),
                (0, 6),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=INK,
            )
        _limit(axes, found, steps)
        if back:
            axes.plot(
                [back[0]["offered_rps"]],
                [back[0]["goodput_rps"]],
                marker="s",
                markersize=8,
                markerfacecolor="none",
                linestyle="none",
                color=look.colour,
                label="back at 1×",
            )
        axes.set_xlim(0, right)
        axes.set_ylim(0, top)
        counting(axes.xaxis)
        counting(axes.yaxis, 5)
        axes.set_xlabel("offered load (requests/s)")
        axes.set_ylabel("goodput (ok/s)")
        figure.legend(loc="outside upper left", ncols=3, columnspacing=1.2)

    return draw(key, 3.1, paint)


def _limit(axes: Axes, found: Mapping[str, Any], steps: list[Mapping[str, Any]]) -> None:
    """The least goodput asked for at the peak, and the interval of what was seen there."""
    peak = next((step for step in steps if step["peak"]), None)
    ratios = {name: ratio for name, ratio in found["cliff"]["ratios"].items() if ratio and ratio["value"] >= 0}
    if peak is None or not ratios:
        return
    worst = min(ratios.values(), key=lambda ratio: ratio["value"])
    if worst["value"] > 0 and peak["goodput_rps"] > 0:
        reference = peak["goodput_rps"] / worst["value"]
        low, high = (
            max(0.0, peak["goodput_rps"] - reference * worst["low"]),
            reference * (worst["high"] or worst["value"]),
        )
        axes.errorbar(
            [peak["offered_rps"]],
            [peak["goodput_rps"]],
            yerr=[[low], [max(0.0, high - peak["goodput_rps"])]],
            color=INK,
            capsize=3,
            linewidth=1.1,
            zorder=4,
        )
    else:
        reference = max(step["goodput_rps"] for step in steps if not step["peak"])
    axes.axhline(reference * found["cliff"]["limit"], color=LIMIT, linewidth=1.1, linestyle=(0, (5, 2)), zorder=2)


def hold_picture(key: str, hold: Hold, found: Mapping[str, Any], look: Look) -> str:
    """Two panels on one time axis: how requests ended, and how long accepted work and refusals took."""

    def paint(figure: Figure) -> None:
        rates, took = figure.subplots(2, 1, sharex=True, height_ratios=(1.25, 1.0))
        _rates(rates, hold, look)
        _latencies(took, hold, found, look)
        for axes in (rates, took):
            if hold.peak_s is not None:
                axes.axvspan(*hold.peak_s, color="#0b2f57", alpha=0.08, linewidth=0, zorder=0)
            for at, _ in hold.marks:
                axes.axvline(at, color=QUIET, linewidth=0.5, linestyle=":", zorder=0.6)
            after = found["recovery"]["after_s"]
            if after is not None and hold.peak_s is not None:
                axes.axvline(hold.peak_s[1] + after, color=look.colour, linewidth=1.1, zorder=2)
        _names(rates, hold)
        took.set_xlim(0, float(hold.edges_s[-1]))
        counting(took.xaxis, 8)
        took.set_xlabel("time since the ramp began (s)")
        figure.align_ylabels([rates, took])

    return draw(key, 4.0, paint)


def _rates(axes: Axes, hold: Hold, look: Look) -> None:
    axes.stairs(hold.due_rps, hold.edges_s, baseline=None, color=QUIET, linewidth=1.0, label="due")
    axes.stairs(hold.ended_rps["ok"], hold.edges_s, baseline=None, color=look.colour, linewidth=1.5, label="ok")
    top = max(float(hold.due_rps.max()), float(hold.ended_rps["ok"].max()), 1e-9)
    for name, (colour, dash) in _ENDS.items():
        if hold.ended_rps[name].any():
            values = hold.ended_rps[name]
            axes.stairs(values, hold.edges_s, baseline=None, color=colour, linestyle=dash, linewidth=1.2, label=name)
            top = max(top, float(values.max()))
    axes.set_ylim(0, top * 1.3)
    counting(axes.yaxis, 4)
    axes.set_ylabel("requests/s")
    axes.legend(loc="upper left", ncols=5, columnspacing=1.0, handlelength=1.6, fontsize=8)


def _latencies(axes: Axes, hold: Hold, found: Mapping[str, Any], look: Look) -> None:
    values = np.concatenate([hold.accepted[:, 1], hold.refused[:, 1]])
    values = values[values > 0]
    low, high = (float(values.min()), float(values.max())) if len(values) else (1.0, 100.0)
    if len(hold.accepted):
        axes.plot(*hold.accepted.T, ".", color=look.colour, markersize=2.2, alpha=0.7, label="accepted")
    if len(hold.refused):
        axes.plot(*hold.refused.T, "x", color="#0072b2", markersize=2.6, alpha=0.6, label="refused")
    deadline_ms = found["deadline_s"] * 1000
    log_latency(axes.yaxis, low, max(high, deadline_ms))
    axes.axhline(deadline_ms, color=LIMIT, linewidth=1.0, linestyle=(0, (5, 2)), label="deadline")
    axes.set_ylabel("latency (ms)")
    axes.legend(loc="lower left", ncols=1, handlelength=1.4, fontsize=8, markerscale=2.5)


def _names(axes: Axes, hold: Hold) -> None:
    """Each step is named where it begins, if there is room."""
    free, width = -np.inf, float(hold.edges_s[-1])
    for at, name in hold.marks:
        if at < free:
            continue
        free = at + width * (0.012 * len(name) + 0.02)
        axes.annotate(name, (at, 1.0), (1, 2), xycoords=("data", "axes fraction"), textcoords="offset points",
                      fontsize=7.5, annotation_clip=False)  # fmt: skip
