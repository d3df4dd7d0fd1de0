"""Restarts as bars on one time axis, each part named after the instant it leads to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from proofload.report import numbers
from proofload.report.pictures.canvas import INK, LIMIT, QUIET, counting, draw, short

MOST_BARS = 40
PARTS = {
    "created": ("container created", "#ffffff", "xx"),
    "started": ("container started", "#e4e6ec", ""),
    "port_bound": ("until its port is bound", "#b9bdc9", ""),
    "live": ("live", "#9ec5de", ""),
    "ready": ("ready", "#0072b2", ""),
    "first_request": ("first request sent", "#ffffff", "...."),
    "first_answer": ("first answer", "#e0b98c", "--"),
    "first_correct": ("first correct answer", "#d55e00", "////"),
    "last_worker_warm": ("last cold answer", "#b0569a", "\\\\\\\\"),
    "steady": ("steady", "#7d1f3f", "xxxx"),
}
"""By the instant that ends it: name, colour, hatch. In the order in which a sound server passes them."""


def cold_start_picture(key: str, lives: Sequence[Mapping[str, Any]], limit_s: float) -> str:
    """One bar for each restart, at most 40, the slowest to be steady left in."""
    shown = shown_lives(lives)
    longest = max((_end(life) for life in shown), default=1.0)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        used: dict[str, None] = {}
        for row, life in enumerate(shown):
            used |= dict.fromkeys(_bar(axes, row, life, longest))
        axes.set_yticks(range(len(shown)), [_label(life) for life in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(0, longest * 1.16)
        if limit_s <= longest * 1.16:
            axes.axvline(limit_s, color=LIMIT, linewidth=1.1, linestyle=(0, (5, 2)))
            axes.annotate(
                f"ready within {numbers.plain(limit_s)} s",
                (limit_s, 1.0),
                (-3, 2),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="right",
                fontsize=8,
                color=LIMIT,
            )
        counting(axes.xaxis, 7)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelsize=8)
        axes.set_xlabel("since it was asked to start (s)")
        handles = [
            Patch(facecolor=colour, hatch=hatch, edgecolor=QUIET, linewidth=0.4, label=name)
            for part, (name, colour, hatch) in PARTS.items()
            if part in used
        ]
        figure.legend(
            handles=handles, loc="outside upper left", ncols=3, columnspacing=1.0, handlelength=1.2, fontsize=8
        )

    return draw(key, 1.25 + 0.24 * len(shown), paint)


def shown_lives(lives: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """All of them, or the slowest 40, in order of their start."""
    if len(lives) <= MOST_BARS:
        return list(lives)
    kept = sorted(lives, key=_end, reverse=True)[:MOST_BARS]
    return sorted(kept, key=lambda life: int(life["number"]))


def _bar(axes: Axes, row: int, life: Mapping[str, Any], longest: float) -> list[str]:
    """Parts in the order in which they really came, so that a lie about readiness is seen as what it is."""
    instants = {name: at for name in PARTS if (at := life["instants_s"].get(name)) is not None}
    left, used = 0.0, []
    for name, at in sorted(instants.items(), key=lambda item: (item[1], list(PARTS).index(item[0]))):
        if at - left > 0.002 * longest:
            _, colour, hatch = PARTS[name]
            axes.barh(row, at - left, left=left, height=0.62, color=colour, hatch=hatch, edgecolor=QUIET, linewidth=0.3)
            used.append(name)
        left = max(left, at)
    if "ready" in instants:
        axes.plot(
            [instants["ready"]], [row], marker="|", markersize=11, color=INK, linestyle="none", markeredgewidth=1.6
        )
    axes.text(_end(life), row, f" {_verdict(life)}", va="center", ha="left", fontsize=8, color=INK)
    return used


def _end(life: Mapping[str, Any]) -> float:
    seen = [at for at in life["instants_s"].values() if at is not None]
    return float(max(seen)) if life["outcome"] == "ready" and seen else float(life["waited_s"])


def _verdict(life: Mapping[str, Any]) -> str:
    if life["outcome"] != "ready":
        return str(life["outcome"])
    opening = life["opening"]
    if opening is None:
        return ""
    if life["failing"]:
        return f"✕ {numbers.count(opening['bad'])} failed"
    return f"{'▲ ' if life['slow'] else ''}{numbers.significant(opening['worst_ms'])} ms"


def _label(life: Mapping[str, Any]) -> str:
    condition = str(life["condition"]).replace("page cache ", "").replace("compile cache ", "built ")
    return short(f"{life['number'] + 1} {condition}", 26)
