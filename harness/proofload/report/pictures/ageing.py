"""A soak's pictures: a resource with its trend, its bounds and where it leads; latency over age."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from proofload.report import numbers
from proofload.report.document import Look
from proofload.report.pictures.canvas import INK, LIMIT, QUIET, counting, draw, limit_line, log_latency

_MIB = 2.0**20
_AHEAD = 2.0
"""The projection is drawn for as long again as the run took, and no further than the limit."""
_ROOM = 0.06
"""The part of the axis that it takes to name a stretch."""
_MARKS = {"pass": "✓", "fail": "✗", "inconclusive": "?"}


def growth_picture(key: str, signals: Sequence[Mapping[str, Any]], found: Mapping[str, Any], look: Look) -> str:
    """One panel per resource, the first one (memory) with its projection; stretches at other rates are shaded."""

    def paint(figure: Figure) -> None:
        heights = [2.0] + [1.05] * (len(signals) - 1)
        column = figure.subplots(len(signals), 1, squeeze=False, height_ratios=heights)[:, 0]
        end = max([found["main_s"][1], *(other["end_s"] for other in found["others"])])
        for number, (axes, signal) in enumerate(zip(column, signals, strict=True)):
            reach = _signal(axes, signal, found, look, project=number == 0)
            axes.set_xlim(min(0.0, signal["points"][0][0]), max(end, reach) * 1.01)
            _stretches(axes, found)
            counting(axes.xaxis, 8)
            counting(axes.yaxis, 4)
            if signal["unit"] != "bytes":
                axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        column[-1].set_xlabel("time since the first phase began (s)")
        figure.align_ylabels(column)

    return draw(key, 0.9 + 2.0 + 1.15 * (len(signals) - 1), paint)


def _signal(axes: Axes, signal: Mapping[str, Any], found: Mapping[str, Any], look: Look, *, project: bool) -> float:
    """How far to the right it drew."""
    scale = _MIB if signal["unit"] == "bytes" else 1.0
    t, y = np.array(signal["points"]).T
    axes.plot(t, y / scale, color=look.colour, linewidth=1.2)
    axes.set_ylabel(f"{signal['name']} (MiB)" if signal["unit"] == "bytes" else signal["name"])
    axes.set_title(f"{_MARKS.get(signal['status'], '')} {signal['words']}: {signal['why']}", fontsize=8.5)
    begin, end = end_of_window(signal, found)
    low, rate, high = signal["per_s_low"], signal["per_s"], signal["per_s_high"]
    reach = end
    if signal["window_s"] and rate is not None:
        at, level = signal["middle"]
        grows = project and signal["status"] == "fail" and not signal.get("reached")
        if grows:
            reach = end + _AHEAD * (found["main_s"][1] - found["main_s"][0])
            if signal["exhausted_s"] is not None and signal["exhausted_s"][0] is not None:
                reach = min(reach, end + 1.3 * float(signal["exhausted_s"][0]))
        line = np.linspace(begin, reach, 50)
        axes.plot(line, (level + rate * (line - at)) / scale, color=INK, linewidth=1.1, linestyle=(0, (4, 2)))
        if low is not None and high is not None:
            edges = [(level + slope * (line - at)) / scale for slope in (low, high)]
            axes.fill_between(line, np.minimum(*edges), np.maximum(*edges), color=INK, alpha=0.12, linewidth=0)
        if signal["limit"] is not None and (grows or (signal["of_limit"] or 0.0) > 0.5):
            limit_line(axes, signal["limit"] / scale, f"{signal['limit_told']}")
            axes.set_ylim(top=max(axes.get_ylim()[1], signal["limit"] / scale * 1.05))
    bottom, top = axes.get_ylim()
    spread = max(top - bottom, 4.0)
    axes.set_ylim(max(0.0, min(bottom, float(y.min()) / scale - spread / 4)), bottom + spread * 1.1)
    return float(reach)


def end_of_window(signal: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[float, float]:
    """The judged window of a signal, in seconds."""
    end = float(found["main_s"][1])
    return end - float(signal["window_s"]), end


def _stretches(axes: Axes, found: Mapping[str, Any]) -> None:
    axes.axvspan(found["settled_s"], found["main_s"][1], color="#0b2f57", alpha=0.06, linewidth=0, zorder=0)
    first, last = axes.get_xlim()
    for other in found["others"]:
        axes.axvline(other["begin_s"], color=QUIET, linewidth=0.6, linestyle=":")
        if other["end_s"] - other["begin_s"] < _ROOM * (last - first):
            continue
        text = "idle" if not other["rate_rps"] else f"{numbers.plain(other['rate_rps'])}/s"
        axes.annotate(
            text, (other["begin_s"], 0.0), (2, 2), xycoords=("data", "axes fraction"), textcoords="offset points",
            fontsize=7.5, color=QUIET,
        )  # fmt: skip


def latency_picture(key: str, found: Mapping[str, Any], look: Look) -> str:
    """p50 and p99 over age, each with the growth that would have been too much."""
    latency = found["latency"]
    t = np.array(latency["t_s"], float)
    shown = {
        name: np.array([np.nan if one is None else one for one in latency[f"{name}_ms"]]) for name in ("p50", "p99")
    }

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        seen = np.concatenate([values[np.isfinite(values)] for values in shown.values()])
        tops = []
        for name, values in shown.items():
            width = 1.6 if name == "p99" else 0.9
            axes.plot(t, values, color=look.colour, linewidth=width, marker=".", markersize=3, label=name)
            creep = latency["creep"].get(name)
            if creep and creep["start_ms"] is not None and creep["allowed_ms"] is not None:
                tops.append(creep["start_ms"] + creep["allowed_ms"])
                axes.plot(
                    [found["settled_s"], found["main_s"][1]], [creep["start_ms"], tops[-1]],
                    color=LIMIT, linewidth=1.0, linestyle=(0, (5, 2)),
                    label="growth that would matter" if name == "p50" else None,
                )  # fmt: skip
        log_latency(axes.yaxis, max(float(seen.min()), 1e-3), max([float(seen.max()), *tops]))
        axes.axvspan(found["settled_s"], found["main_s"][1], color="#0b2f57", alpha=0.06, linewidth=0, zorder=0)
        axes.set_ylabel("latency (ms)")
        axes.set_xlabel("time since the first phase began (s)")
        counting(axes.xaxis, 8)
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4)

    return draw(key, 2.6, paint)
