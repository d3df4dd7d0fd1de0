"""A rollout on one time axis: who got the traffic, what the guards thought of it, and how both versions did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from proofload.report.pictures.canvas import HAIR, INK, LIMIT, QUIET, counting, draw, limit_line, log_latency

BASELINE, CANARY = "#0072b2", "#d55e00"
_DASHES: tuple[Any, ...] = (
    (0, ()),
    (0, (6, 1.5)),
    (0, (3, 1.2)),
    (0, (6, 1.5, 1, 1.5)),
    (0, (1.2, 1.2)),
    (0, (8, 2, 2, 2)),
)
_GUARD_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#b0569a", "#8a6d00", "#333333", "#5b4fc4", "#7d1f3f")
_FLOOR = -3.0
"""Log10 e-values below say nothing more."""


def rollout_picture(key: str, series: Mapping[str, Any], limit_log10: float, *, tripped: Sequence[str]) -> str:
    """`series`: see procedures/_rollout/telling.series."""

    def paint(figure: Any) -> None:
        panels = figure.subplots(4, 1, sharex=True, gridspec_kw={"height_ratios": [0.8, 1.9, 0.9, 1.3]})
        _share(panels[0], series)
        _guards(panels[1], series, limit_log10, tripped)
        _failures(panels[2], series)
        _latency(panels[3], series)
        for axes in panels:
            if series["rolled_s"] is not None:
                axes.axvline(series["rolled_s"], color=LIMIT, linewidth=1.2, zorder=2)
        panels[-1].set_xlabel("time since the first phase began (s)")
        panels[-1].set_xlim(0, _end(series) * 1.01)
        counting(panels[-1].xaxis, 8)
        figure.align_ylabels(panels)

    return draw(key, 6.4, paint)


def _end(series: Mapping[str, Any]) -> float:
    last: float = max([*series["seconds"]["t_s"], *(move["t_s"] for move in series["moves"]), 1.0])
    return last


def _share(axes: Axes, series: Mapping[str, Any]) -> None:
    at = [0.0, *(move["t_s"] for move in series["moves"]), _end(series)]
    shares = [0.0, *(100 * move["share"] for move in series["moves"])]
    axes.stairs(shares, at, baseline=None, color=CANARY, linewidth=1.8)
    axes.set_ylim(-4, 104)
    axes.set_ylabel("canary (%)")
    if series["rolled_s"] is not None:
        axes.annotate("rolled back", (series["rolled_s"], 96), (3, 0), textcoords="offset points", fontsize=8,
                      color=LIMIT, va="top")  # fmt: skip


def _guards(axes: Axes, series: Mapping[str, Any], limit: float, tripped: Sequence[str]) -> None:
    for number, (name, path) in enumerate(series["log10_e"].items()):
        loud = name in tripped
        axes.plot(
            series["t_s"],
            10.0 ** np.clip(path, _FLOOR, 300.0),
            color=_GUARD_COLOURS[number % len(_GUARD_COLOURS)],
            linestyle=_DASHES[number % len(_DASHES)],
            linewidth=2.0 if loud else 1.0,
            label=name,
            zorder=3 if loud else 2,
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:,.10g}"))
    top = max([limit + 1.0, *(max(path, default=0.0) for path in series["log10_e"].values())])
    axes.set_ylim(10.0**_FLOOR, 10.0 ** min(top + 0.5, limit + 6.0))
    limit_line(axes, 10.0**limit, f"rolls back at {10.0**limit:,.0f}")
    axes.axhline(1.0, color=HAIR, linewidth=0.8)
    axes.set_ylabel("e-value")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, fontsize=7, borderpad=0.1, handlelength=1.8,
                columnspacing=0.8)  # fmt: skip


def _failures(axes: Axes, series: Mapping[str, Any]) -> None:
    seconds = series["seconds"]
    for name, colour, dash in (("baseline", BASELINE, _DASHES[1]), ("canary", CANARY, _DASHES[0])):
        values = np.array([np.nan if v is None else 100 * v for v in seconds[name]["bad_share"]], float)
        axes.plot(seconds["t_s"], values, color=colour, linestyle=dash, linewidth=1.3, label=name)
    axes.set_ylim(bottom=0)
    counting(axes.yaxis, 3)
    axes.set_ylabel("not ok (%)")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, fontsize=8, borderpad=0.1)


def _latency(axes: Axes, series: Mapping[str, Any]) -> None:
    seconds, seen = series["seconds"], []
    for name, colour in (("baseline", BASELINE), ("canary", CANARY)):
        for q, dash in (("p50_ms", _DASHES[0]), ("p99_ms", _DASHES[2])):
            values = np.array([np.nan if v is None else v for v in seconds[name][q]], float)
            seen += values[np.isfinite(values)].tolist()
            axes.plot(seconds["t_s"], values, color=colour, linestyle=dash, linewidth=1.2)
    if seen:
        log_latency(axes.yaxis, min(seen), max(seen))
    axes.set_ylabel("p50, p99 (ms)")
    axes.annotate("p99 broken, p50 solid", (1.0, 1.0), (0, 2), xycoords="axes fraction", textcoords="offset points",
                  ha="right", fontsize=8, color=QUIET)  # fmt: skip
    axes.tick_params(colors=INK)
