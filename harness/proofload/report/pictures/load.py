"""Latency against offered load: where each target's curve turns up, and where the limit cuts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from proofload.records import Status
from proofload.report import numbers
from proofload.report.document import Look
from proofload.report.pictures.canvas import INK, QUIET, abreast, counting, draw, limit_line, log_latency, short
from proofload.report.reduce.load_curve import LoadPoint
from proofload.report.view import RunView

_NAN = float("nan")


def load_picture(key: str, runs: Sequence[RunView], looks: Mapping[str, Look]) -> str:
    """p99 with its interval (band) and p50 (thin) over the rates of every run."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        values: list[float] = []
        for run in runs:
            values += _curve(axes, run, looks[run.label])
        limits = _limits(runs)
        values += [value for value, _ in limits]
        censored = any(point.p99_censored for run in runs for point in run.load)
        log_latency(axes.yaxis, min(values, default=1), max(values, default=100) * (1.6 if censored else 1.0))
        for value, text in limits:
            limit_line(axes, value, text)
        for run in runs:
            _capacity(axes, run, looks[run.label])
        rates = [
            point.rate_rps
            for run in runs
            for point in run.load
            if point.status is not Status.INVALID or point.p99_ms is not None
        ]
        axes.set_xlim(0, max(rates, default=1) * 1.04)
        counting(axes.xaxis)
        axes.set_xlabel("offered load (requests/s)")
        axes.set_ylabel("latency (ms, log)")
        _legend(figure, runs, looks)

    return draw(key, 3.5, paint)


def _curve(axes: Axes, run: RunView, look: Look) -> list[float]:
    points = _one_per_rate(run.load)
    rate = np.array([point.rate_rps for point in points])
    p99 = np.array([_or_nan(point.p99_ms) for point in points])
    p50 = np.array([_or_nan(point.p50_ms) for point in points])
    low = np.array([_or_nan(point.p99_interval.low) for point in points])
    high = np.array([_or_nan(point.p99_interval.high) for point in points])
    seen = np.isfinite(p99)
    axes.fill_between(rate[seen], low[seen], high[seen], color=look.colour, alpha=0.16, linewidth=0)
    axes.plot(rate[seen], p99[seen], color=look.colour, linestyle=look.dash, zorder=3)
    there = np.isfinite(p50)
    axes.plot(rate[there], p50[there], color=look.colour, linestyle=look.dash, linewidth=0.8, alpha=0.75, zorder=2.8)
    for point in run.load:
        if point.p99_ms is not None:
            _mark(axes, point, look)
    return [float(value) for row in (p50, p99, low, high) for value in row[np.isfinite(row)] if value > 0]


def _one_per_rate(points: Sequence[LoadPoint]) -> list[LoadPoint]:
    """What the line goes through: at each rate the confirmation, else the last step that was not invalid."""
    best: dict[float, LoadPoint] = {}
    for point in points:
        before = best.get(point.rate_rps)
        if point.status is not Status.INVALID and (before is None or before.purpose != "confirm"):
            best[point.rate_rps] = point
    return list(best.values())


def _mark(axes: Axes, point: LoadPoint, look: Look) -> None:
    assert point.p99_ms is not None
    if point.status is Status.INVALID:
        axes.plot([point.rate_rps], [point.p99_ms], marker="x", markersize=4, color=QUIET, zorder=2)
        return
    face = {Status.FAIL: "white", Status.INCONCLUSIVE: to_rgba(look.colour, 0.35)}
    axes.plot(
        [point.rate_rps],
        [point.p99_ms],
        linestyle="none",
        marker=look.marker,
        markersize=7.5 if point.purpose == "confirm" else 4.5,
        color=look.colour,
        markerfacecolor=face.get(point.status or Status.PASS, look.colour),
        zorder=4,
    )
    if point.p99_censored:
        axes.annotate(
            "",
            (point.rate_rps, point.p99_ms),
            (0, 15),
            textcoords="offset points",
            arrowprops={"arrowstyle": "<-", "color": look.colour, "linewidth": 1.2, "shrinkB": 4},
            annotation_clip=False,
        )


def _capacity(axes: Axes, run: RunView, look: Look) -> None:
    found = run.result.capacity
    if found is None or found.rate_rps is None or run.result.status is Status.INVALID:
        return
    low = found.interval.low if found.interval.low is not None else found.rate_rps
    high = found.interval.high if found.interval.high is not None else found.rate_rps
    axes.axvspan(low, high, color=look.colour, alpha=0.13, linewidth=0, zorder=1)
    axes.axvline(found.rate_rps, color=look.colour, linewidth=0.9, linestyle=(0, (1, 2)), zorder=1.5)
    if found.knee_rps is not None:
        axes.plot(
            [found.knee_rps],
            [0.0],
            marker="^",
            markersize=8,
            color=look.colour,
            markeredgecolor="white",
            transform=axes.get_xaxis_transform(),
            clip_on=False,
            zorder=6,
        )


def _limits(runs: Sequence[RunView]) -> list[tuple[float, str]]:
    found = {(limit, name) for run in runs for name, limit in run.limits.items()}
    return [(limit, f"{name} ≤ {numbers.plain(limit)} ms") for limit, name in sorted(found)]


def _legend(figure: Figure, runs: Sequence[RunView], looks: Mapping[str, Look]) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=looks[run.label].colour,
            linestyle=looks[run.label].dash,
            marker=looks[run.label].marker,
            label=short(run.label),
        )
        for run in runs
    ]
    handles += [
        Line2D([], [], color=INK, label="p99, interval shaded"),
        Line2D([], [], color=QUIET, linewidth=0.8, label="p50"),
    ]
    figure.legend(
        handles=handles, loc="outside upper left", ncols=abreast([short(run.label) for run in runs]), columnspacing=1.4
    )


def _or_nan(value: float | None) -> float:
    return _NAN if value is None else value
