"""Capacity and cost with their intervals, target by target: whether two differ is seen at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from proofload.records import Interval
from proofload.report.document import Look
from proofload.report.pictures.canvas import QUIET, counting, draw, short


@dataclass(frozen=True, slots=True)
class Spread:
    """One target's value and interval; `firm` False draws it hollow: invalid, or not confirmed."""

    label: str
    value: float
    interval: Interval
    firm: bool = True


def ranges_picture(key: str, panels: Sequence[tuple[str, Sequence[Spread]]], looks: Mapping[str, Look]) -> str:
    """Panels side by side, (axis title, spreads), with one row per target in the order of the first panel."""
    labels = list(dict.fromkeys(spread.label for _, spreads in panels for spread in spreads))

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, spreads) in zip(grid, panels, strict=True):
            for spread in spreads:
                _row(axes, spread, labels.index(spread.label), looks[spread.label])
            axes.set_xlabel(title)
            axes.set_xlim(left=0)
            axes.set_xlim(right=axes.get_xlim()[1] * 1.08)
            counting(axes.xaxis, 4)
            axes.grid(visible=False, axis="y")
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
        grid[0].set_yticks(range(len(labels)), [short(label) for label in labels])
        grid[0].set_ylim(len(labels) - 0.5, -0.5)

    return draw(key, 0.85 + 0.34 * len(labels), paint)


def _row(axes: Axes, spread: Spread, row: int, look: Look) -> None:
    low = spread.interval.low if spread.interval.low is not None else spread.value
    high = spread.interval.high if spread.interval.high is not None else spread.value
    axes.axhline(row, color=QUIET, linewidth=0.3, zorder=0.5)
    axes.plot([low, high], [row, row], color=look.colour, linewidth=6, alpha=0.3, solid_capstyle="butt")
    axes.plot(
        [spread.value],
        [row],
        marker=look.marker,
        markersize=7,
        color=look.colour,
        markerfacecolor=look.colour if spread.firm else "white",
        linestyle="none",
    )
