"""Two versions side by side: intervals against their margins, users with and without copies, switches over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from proofload.report.pictures.canvas import INK, LIMIT, QUIET, counting, draw, log_latency

BLUE, GREEN = "#0072b2", "#00795c"
_STATES = {"pass": ("o", INK), "fail": ("X", LIMIT), "inconclusive": ("D", "#8a6d00")}
_FAR = 4.0
"""In margins: what lies beyond is drawn as an arrow."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One difference and its interval, in margins: 1 is where harm begins."""

    name: str
    effect: float
    low: float | None
    high: float | None
    status: str
    two_sided: bool = False


def forest(axes: Axes, bars: Sequence[Bar]) -> None:
    """Differences with their intervals in one unit, the margin; the harmful side is on the right."""
    for row, bar in enumerate(bars):
        marker, colour = _STATES.get(bar.status, ("o", QUIET))
        low = -_FAR if bar.low is None else max(bar.low, -_FAR)
        high = _FAR if bar.high is None else min(bar.high, _FAR)
        axes.plot([low, high], [row, row], color=colour, linewidth=2.2, solid_capstyle="butt", zorder=2)
        for end, cut in ((low, bar.low is None or bar.low < -_FAR), (high, bar.high is None or bar.high > _FAR)):
            shape = ("<" if end < 0 else ">") if cut else "|"
            axes.plot([end], [row], marker=shape, color=colour, markersize=7, zorder=2.2)
        if abs(bar.effect) <= _FAR:
            axes.plot([bar.effect], [row], marker=marker, color=colour, markersize=6.5, zorder=3)
        if bar.two_sided:
            axes.plot([-1, -1], [row - 0.4, row + 0.4], color=LIMIT, linewidth=1.1, linestyle=(0, (5, 2)))
    axes.axvline(0.0, color=QUIET, linewidth=0.8)
    axes.axvline(1.0, color=LIMIT, linewidth=1.1, linestyle=(0, (5, 2)))
    axes.annotate("margin", (1.0, -0.75), (3, 0), textcoords="offset points", color=LIMIT, fontsize=8, va="center")
    axes.set_yticks(range(len(bars)), [bar.name for bar in bars])
    axes.set_ylim(len(bars) - 0.5, -1.0)
    reach = max([1.3, *(abs(end) for bar in bars for end in (bar.low, bar.high) if end is not None)])
    axes.set_xlim(-min(reach * 1.08, _FAR * 1.05), min(reach * 1.08, _FAR * 1.05))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("difference ÷ margin (worse is to the right)")


def intervals_picture(key: str, bars: Sequence[Bar]) -> str:
    def paint(figure: Figure) -> None:
        forest(figure.subplots(), bars)

    return draw(key, 0.95 + 0.32 * len(bars), paint)


def looks_picture(key: str, looks: Sequence[Sequence[float | None]], margin: float, unit: str, stretch_s: float) -> str:
    """The interval at every look: (stretches, effect, low, high)."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        shown = [look for look in looks if look[2] is not None and look[3] is not None]
        t_s = [float(look[0] or 0.0) * stretch_s for look in shown]
        lows, highs = [look[2] or 0.0 for look in shown], [look[3] or 0.0 for look in shown]
        axes.fill_between(t_s, lows, highs, color=BLUE, alpha=0.2, linewidth=0, label="bounds for all looks")
        axes.plot(t_s, [look[1] or 0.0 for look in shown], color=BLUE, label="difference")
        axes.axhline(0.0, color=QUIET, linewidth=0.8)
        for line in (-margin, margin):
            axes.axhline(line, color=LIMIT, linewidth=1.1, linestyle=(0, (5, 2)))
        reach = max([1.5 * margin, *(abs(end) for end in (lows[-1:] + highs[-1:]))])
        axes.set_ylim(-2 * reach, 2 * reach)
        counting(axes.xaxis)
        axes.set_xlabel("time since the experiment began (s)")
        axes.set_ylabel(f"difference ({unit})")
        axes.legend(loc="upper right", fontsize=8)

    return draw(key, 2.1, paint)


def shadow_picture(key: str, blocks: Sequence[Mapping[str, Any]], bars: Sequence[Bar]) -> str:
    """Users' median latency block by block, with and without copies, and the copies'; below, what was compared."""

    def paint(figure: Figure) -> None:
        over_time, compared = figure.subplots(2, 1, height_ratios=[1.5, 0.4 + 0.28 * len(bars)])
        series = (
            ("plain", "users_p50_ms", "users, without copies", {"marker": "o", "color": QUIET, "mfc": "white"}),
            ("mirrored", "users_p50_ms", "users, with copies", {"marker": "o", "color": BLUE}),
            ("mirrored", "copies_p50_ms", "copies", {"marker": "x", "color": GREEN}),
        )
        for kind, name, label, style in series:
            points = [(block["start_s"], block[name]) for block in blocks if block["kind"] == kind and block[name]]
            if points:
                over_time.plot(*zip(*points, strict=True), linestyle="", label=label, **style)
        over_time.set_ylim(bottom=0)
        counting(over_time.xaxis)
        counting(over_time.yaxis, 4)
        over_time.set_xlabel("time since the first block (s)")
        over_time.set_ylabel("median (ms)")
        over_time.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=3, fontsize=8, borderpad=0.1)
        forest(compared, bars)

    return draw(key, 2.7 + 0.32 * len(bars), paint)


def switches_picture(key: str, seconds: Mapping[str, Sequence[Any]], moves: Sequence[Mapping[str, Any]]) -> str:
    """Who had the traffic, how long answers took and what failed, second by second; each switch a line."""

    def paint(figure: Figure) -> None:
        failed = any(seconds["bad"])
        column = figure.subplots(
            3 if failed else 2, 1, sharex=True, height_ratios=[1.2, 1.5, 0.9][: 3 if failed else 2]
        )
        edges = [*seconds["t_s"], len(seconds["t_s"])]
        blue, green = list(seconds["blue"]), list(seconds["green"])
        both = [one + other for one, other in zip(blue, green, strict=True)]
        column[0].stairs(both, edges, fill=True, color=GREEN, alpha=0.75, label="green", hatch="//", edgecolor="white")
        column[0].stairs(blue, edges, fill=True, color=BLUE, alpha=1.0, label="blue")
        column[0].set_ylabel("requests/s")
        column[0].set_ylim(0, max(both, default=1) * 1.12)
        counting(column[0].yaxis, 4)
        column[0].legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=2, fontsize=8, borderpad=0.1)
        middle = [(t + 0.5, p50, p99) for t, p50, p99 in
                  zip(seconds["t_s"], seconds["p50_ms"], seconds["p99_ms"], strict=True) if p50]  # fmt: skip
        if middle:
            t_s, p50, p99 = zip(*middle, strict=True)
            column[1].plot(t_s, p99, color=INK, linewidth=1.4, label="p99")
            column[1].plot(t_s, p50, color=INK, linewidth=0.8, linestyle=(0, (3, 1.2)), label="p50")
            log_latency(column[1].yaxis, min(p50), max(p99))
        column[1].set_ylabel("latency (ms)")
        column[1].legend(loc="lower right", bbox_to_anchor=(1.0, 0.96), ncols=2, fontsize=8, borderpad=0.1)
        if failed:
            column[2].stairs(seconds["bad"], edges, fill=True, color=LIMIT, alpha=0.85)
            column[2].set_ylabel("not ok/s")
            counting(column[2].yaxis, 3)
        for axes in column:
            for move in moves:
                axes.axvline(move["at_s"], color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=4)
        for number, move in enumerate(moves):
            column[0].annotate(
                f"to {move['to']}", (move["at_s"], 1.0), (2, -8 - 9 * (number % 2)), fontsize=8, color=INK,
                xycoords=("data", "axes fraction"), textcoords="offset points", zorder=5,
                bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
            )  # fmt: skip
        counting(column[-1].xaxis, 8)
        column[-1].set_xlabel("time since the load began (s)")
        figure.align_ylabels(column)

    return draw(key, 4.6 if any(seconds["bad"]) else 3.6, paint)
