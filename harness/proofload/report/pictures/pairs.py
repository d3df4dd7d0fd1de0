"""Every pair of lifetimes as a dot, candidate ÷ baseline; its interval, and the band within which nothing matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from proofload.records import Interval
from proofload.report import numbers
from proofload.report.document import Look
from proofload.report.pictures.canvas import HAIR, INK, draw, short


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one candidate. `factors`: of each pair, in order of time."""

    candidate: str
    metric: str
    factors: tuple[float, ...]
    factor: float
    interval: Interval
    margin: float
    worse_is_more: bool


def pairs_picture(key: str, rows: Sequence[Row], looks: Mapping[str, Look]) -> str:
    """One strip a row; what is worse than the margin lies right of its band, whichever way the metric counts."""

    def paint(figure: Figure) -> None:
        strips = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
        for axes, row in zip(strips, rows, strict=True):
            look = looks[row.candidate]
            low, high = (None if end is None else end - 1.0 for end in (row.interval.low, row.interval.high))
            changes = [factor - 1.0 for factor in row.factors]
            band = (1.0 / (1.0 + row.margin) - 1.0, row.margin)
            axes.axvspan(*band, color=HAIR, alpha=0.7, linewidth=0, zorder=0)
            axes.axvline(0.0, color=INK, linewidth=0.8, zorder=1)
            count = len(changes)
            heights = [0.25 + 0.5 * place / max(count - 1, 1) for place in range(count)]
            axes.plot(
                changes, heights, marker=look.marker, markersize=4, color=look.colour, linestyle="none", alpha=0.65
            )
            if low is not None and high is not None:
                axes.plot([low, high], [0.1, 0.1], color=look.colour, linewidth=5, alpha=0.45)
                axes.plot([row.factor - 1.0], [0.1], marker="|", markersize=11, color=INK, linestyle="none")
            reach = max(abs(one) for one in [*changes, *band, low or 0.0, high or 0.0]) * 1.1
            axes.set_xlim(-reach, reach)
            if not row.worse_is_more:
                axes.invert_xaxis()
            axes.set_ylim(0, 0.85)
            axes.set_yticks([])
            axes.grid(visible=False, axis="y")
            axes.spines["left"].set_visible(False)
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_formatter(FuncFormatter(_percent))
            axes.set_title(f"{short(row.candidate)}: {row.metric}")
        strips[-1].set_xlabel("← better · candidate against baseline, pair by pair · worse →")

    return draw(key, 0.45 + 0.95 * len(rows), paint)


def _percent(change: float, _place: int | None = None) -> str:
    """0.15 is "+15 %"."""
    return "0 %" if abs(change) < 1e-9 else f"{'+' if change > 0 else '−'}{numbers.short(abs(100.0 * change))} %"
