"""Where the time of a mean request went: stacked parts, one bar per target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from proofload.report import numbers
from proofload.report.pictures.canvas import INK, counting, draw, short

_PAINT = {
    "send lag": ("#b9bdc9", "...."),
    "connection wait": ("#e0b98c", "\\\\\\\\"),
    "outside the model": ("#9ec5de", ""),
    "queue": ("#d55e00", "////"),
    "compute": ("#00573f", ""),
    "service": ("#9ec5de", ""),
}


def parts_picture(key: str, bars: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """`bars`: (target, part → ms), parts in the order a request passes them. A linear axis: parts add up."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        longest = max((sum(parts.values()) for _, parts in bars), default=1.0)
        shown: dict[str, Patch] = {}
        for row, (_, parts) in enumerate(bars):
            left = 0.0
            for part, value in parts.items():
                colour, hatch = _PAINT[part]
                axes.barh(row, value, left=left, height=0.58, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
                shown.setdefault(part, Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=part))
                left += value
            text = f" {numbers.significant(left)} ms"
            axes.text(left, row, text, va="center", ha="left", fontsize=8.5, color=INK)
        axes.set_yticks(range(len(bars)), [short(label) for label, _ in bars])
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_xlim(0, longest * 1.2 or 1.0)
        counting(axes.xaxis)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("mean over answered requests (ms)")
        order = [shown[part] for part in _PAINT if part in shown]
        figure.legend(handles=order, loc="outside upper left", ncols=3, columnspacing=1.4, handlelength=1.4)

    return draw(key, 1.25 + 0.36 * len(bars), paint)
