"""One figure over the nights: valid runs with intervals, levels, changes, and where host or configuration changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from proofload.nightly.trends import Stretch, Trend
from proofload.report.document import Look
from proofload.report.pictures.canvas import INK, LIMIT, QUIET, counting, draw, short

_SHOWN = 120
"""Nights drawn, at most."""
BETTER = "#00573f"


def trend_picture(key: str, nights: Sequence[str], trend: Trend, broken: Sequence[str], look: Look) -> str:
    shown = list(nights)[-_SHOWN:]
    at = {night: place for place, night in enumerate(shown)}

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        for stretch in trend.stretches:
            _points(axes, stretch, at, look)
            _levels(axes, stretch, at)
        missing = set(shown) - {night for stretch in trend.stretches for night in stretch.nights}
        places = sorted(at[night] for night in missing)
        axes.plot(places, [0.02] * len(places), linestyle="", marker="x", markersize=4, color=QUIET,
                  transform=axes.get_xaxis_transform(), clip_on=False)  # fmt: skip
        for night in broken:
            if night in at:
                axes.axvline(at[night] - 0.5, color=QUIET, linewidth=1.0, linestyle=(0, (1, 2)), zorder=1.5)
        for number, change in enumerate(one for one in trend.changes if one.night in at):
            _mark(axes, at[change.night] - 0.5, change.ratio, worse=change.worse, row=number % 2)
        _axes(axes, shown, trend)

    return draw(key, 2.6, paint)


def sketch_of(trend: Trend) -> str:
    """What the marks of the picture mean."""
    return (
        f"{trend.name} of each valid run with its interval; hollow: only a bound; grey lines: the level between "
        "changes; crosses: nights without a valid figure; dashed lines: changes that were told; dotted lines: another "
        "host or configuration."
    )


def _points(axes: Axes, stretch: Stretch, at: Mapping[str, int], look: Look) -> None:
    seen = [(at[night], one) for night, one in zip(stretch.nights, stretch.figures, strict=True) if night in at]
    for place, one in seen:
        if one.low is not None and one.high is not None:
            axes.plot([place, place], [one.low, one.high], color=look.colour, linewidth=1.0, alpha=0.35, zorder=2)
    for fill, bounds in ((look.colour, False), ("white", True)):
        drawn = [(place, one.value) for place, one in seen if bool(one.bound) is bounds]
        axes.plot([place for place, _ in drawn], [value for _, value in drawn], linestyle="", marker=look.marker,
                  markersize=3.8, color=look.colour, markerfacecolor=fill, zorder=3)  # fmt: skip


def _levels(axes: Axes, stretch: Stretch, at: Mapping[str, int]) -> None:
    for first, last, typical in stretch.levels:
        if last in at:
            begin = at.get(first, 0)
            axes.plot([begin - 0.4, at[last] + 0.4], [typical.value] * 2, color=QUIET, linewidth=1.2, zorder=1.8)


def _mark(axes: Axes, place: float, ratio: float, *, worse: bool, row: int) -> None:
    colour = LIMIT if worse else BETTER
    axes.axvline(place, color=colour, linewidth=1.2, linestyle=(0, (5, 2)), zorder=2.5)
    axes.annotate(
        f"{(ratio - 1.0) * 100.0:+.1f} % {'worse' if worse else 'better'}".replace("-", "−"),
        xy=(place, 1.0), xycoords=("data", "axes fraction"), xytext=(3, -9 - 10 * row), textcoords="offset points",
        fontsize=8, color=colour, zorder=5,
        bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
    )  # fmt: skip


def _axes(axes: Axes, shown: Sequence[str], trend: Trend) -> None:
    step = max(1, -(-len(shown) // 5))
    places = list(range(len(shown) - 1, -1, -step))[::-1]
    axes.set_xticks(places, [short(shown[place], 10) for place in places])
    axes.set_xlim(-0.8, max(len(shown) - 0.2, 1.0))
    counting(axes.yaxis, 5)
    axes.margins(y=0.12)
    axes.set_ylabel(f"{trend.name} ({trend.unit})")
    axes.tick_params(axis="x", colors=INK)
