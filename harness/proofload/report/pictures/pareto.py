"""What an option costs against how slow its slowest answers are: down and to the left is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from proofload.records import Interval
from proofload.report.document import Look
from proofload.report.pictures.canvas import LIMIT, QUIET, abreast, counting, draw, limit_line, log_latency, short


@dataclass(frozen=True, slots=True)
class Place:
    """One option: its cost and its p99, each with its interval."""

    label: str
    cost: float
    cost_interval: Interval
    p99_ms: float
    p99_interval: Interval


def frontier(places: Sequence[Place]) -> tuple[str, ...]:
    """Those that no other one beats in both."""
    return tuple(
        one.label
        for one in places
        if not any(
            other.cost <= one.cost
            and other.p99_ms <= one.p99_ms
            and (other.cost, other.p99_ms) != (one.cost, one.p99_ms)
            for other in places
        )
    )


def pareto_picture(
    key: str,
    places: Sequence[Place],
    looks: Mapping[str, Look],
    *,
    cost_title: str,
    limit_ms: float | None = None,
    budget: float | None = None,
) -> str:
    """Points with their intervals as crosses; a line joins those that nothing else beats in both."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        values = [limit_ms] if limit_ms is not None else []
        for one in places:
            values += _point(axes, one, looks[one.label])
        best = sorted((one for one in places if one.label in frontier(places)), key=lambda one: one.cost)
        axes.plot(
            [one.cost for one in best],
            [one.p99_ms for one in best],
            color=QUIET,
            linewidth=0.9,
            linestyle=(0, (1, 2)),
            zorder=1,
        )
        log_latency(axes.yaxis, min(values), max(values))
        if limit_ms is not None:
            limit_line(axes, limit_ms, f"p99 ≤ {limit_ms:g} ms")
        if budget is not None:
            axes.axvline(budget, color=LIMIT, linewidth=1.1, linestyle=(0, (5, 2)), zorder=2.5)
            axes.annotate(f"budget {budget:g}", (budget, 0.0), (-3, 4), xycoords=("data", "axes fraction"),
                          textcoords="offset points", ha="right", fontsize=8, color=LIMIT)  # fmt: skip
        axes.set_xlim(left=0)
        axes.set_xlim(right=max(axes.get_xlim()[1], budget or 0.0) * 1.15)
        counting(axes.xaxis)
        axes.set_xlabel(cost_title)
        axes.set_ylabel("p99 latency (ms, log)")
        figure.legend(loc="outside upper left", ncols=abreast([short(one.label) for one in places]), columnspacing=1.4)

    return draw(key, 3.4, paint)


def _point(axes: Axes, one: Place, look: Look) -> list[float]:
    """Draws it; returns what the latency axis has to hold."""
    low, high = _ends(one.p99_interval, one.p99_ms)
    left, right = _ends(one.cost_interval, one.cost)
    axes.plot([one.cost, one.cost], [low, high], color=look.colour, linewidth=1.2, alpha=0.7)
    axes.plot([left, right], [one.p99_ms, one.p99_ms], color=look.colour, linewidth=1.2, alpha=0.7)
    axes.plot(
        [one.cost],
        [one.p99_ms],
        marker=look.marker,
        markersize=7,
        color=look.colour,
        linestyle="none",
        label=short(one.label),
        zorder=4,
    )
    return [low, high]


def _ends(interval: Interval, value: float) -> tuple[float, float]:
    return (
        value if interval.low is None else interval.low,
        value if interval.high is None else interval.high,
    )
