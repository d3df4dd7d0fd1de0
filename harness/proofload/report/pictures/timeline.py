"""A run over time, panels under each other on one time axis: rates, latency, failures, the server, resources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from proofload.report import numbers
from proofload.report.document import Look
from proofload.report.pictures.canvas import INK, QUIET, counting, draw, limit_line, log_latency, short
from proofload.report.reduce.readings import Gauge
from proofload.report.reduce.time_bins import NOT_OK, TimeSeries
from proofload.report.view import EventMark, RunView

MAX_MARKS = 12
_NEAR = 0.3
"""A limit is drawn where so much of it was used; further away it would press what was used to the ground."""
_OUTCOMES = {
    "wrong": ("#b0569a", "-"),
    "late": ("#8a6d00", (0, (6, 1.5))),
    "shed": ("#0072b2", (0, (3, 1.2))),
    "error": ("#a61e1e", "-"),
    "timeout": ("#d55e00", (0, (1.2, 1.2))),
    "unsent": ("#333333", (0, (6, 1.5, 1, 1.5))),
}


@dataclass(frozen=True, slots=True)
class _Panel:
    height: float
    paint: Callable[[Axes], None]


def timeline_picture(key: str, run: RunView, marks: Sequence[EventMark], look: Look) -> str:
    """Only panels that have data are drawn. Measured phases are shaded, `marks` are numbered lines."""
    panels = [panel for panel in (_rates(run, look), _latency(run, look), _failed(run), *_inside(run, look)) if panel]
    heights = [panel.height for panel in panels]

    def paint(figure: Figure) -> None:
        column = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for panel, axes in zip(panels, column, strict=True):
            panel.paint(axes)
            for phase in run.phases:
                if phase.measured:
                    axes.axvspan(phase.start_s, phase.end_s, color="#0b2f57", alpha=0.06, linewidth=0, zorder=0)
                else:
                    axes.axvline(phase.start_s, color=QUIET, linewidth=0.5, linestyle=":", zorder=0.6)
            for mark in marks[:MAX_MARKS]:
                axes.axvline(mark.t_s, color=INK, linewidth=0.7, linestyle=(0, (4, 2)), zorder=1.2)
        counting(column[-1].xaxis, 8)
        column[-1].set_xlabel("time since the first phase began (s)")
        column[-1].set_xlim(*_span(run))
        _numbered(column[0], marks[:MAX_MARKS])
        figure.align_ylabels(column)

    return draw(key, 0.75 + sum(heights), paint)


def _span(run: RunView) -> tuple[float, float]:
    end = max((phase.end_s for phase in run.phases), default=1.0)
    if run.time is not None:
        end = max(end, float(run.time.edges_s[-1]))
    return 0.0, max(end, 0.1) * 1.01


def _numbered(axes: Axes, marks: Sequence[EventMark]) -> None:
    start, end = axes.get_xlim()
    free = -np.inf
    for number, mark in enumerate(marks, start=1):
        if mark.t_s < free:  # its line is drawn and its row is in the table; its number would not be read
            continue
        free = mark.t_s + (end - start) * (0.02 if number < 10 else 0.035)
        axes.annotate(
            str(number),
            (mark.t_s, 1.0),
            (0, 2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            annotation_clip=False,
        )


def _rates(run: RunView, look: Look) -> _Panel | None:
    series = run.time
    if series is None:
        return None

    def paint(axes: Axes) -> None:
        top = max(float(series.due_rps.max()), float(series.ended_rps["ok"].max()), 1e-9)
        axes.stairs(series.due_rps, series.edges_s, baseline=None, color=QUIET, linewidth=1.0, label="due")
        axes.stairs(series.ended_rps["ok"], series.edges_s, baseline=None, color=look.colour, linewidth=1.4, label="ok")
        axes.set_ylim(0, top * 1.12)
        counting(axes.yaxis, 4)
        axes.set_ylabel("requests/s")
        _legend(axes)

    return _Panel(1.15, paint)


def _latency(run: RunView, look: Look) -> _Panel | None:
    series = run.time
    if series is None or not any(np.isfinite(bins.p50).any() for bins in series.latency):
        return None

    def paint(axes: Axes) -> None:
        low, high = np.inf, 0.0
        for index, bins in enumerate(series.latency):
            names = (("highest", "max"), ("p99", "p99"), ("p50", "p50")) if index == 0 else ((None, None),) * 3
            axes.plot(bins.t_s, bins.highest, ".", color=QUIET, markersize=2, alpha=0.7, label=names[0][1], zorder=1.5)
            axes.plot(bins.t_s, bins.p99, color=look.colour, linewidth=1.5, label=names[1][1])
            axes.plot(bins.t_s, bins.p50, color=look.colour, linewidth=0.8, label=names[2][1])
            if np.isfinite(bins.p50).any():
                low = min(low, float(np.nanmin(bins.p50)))
                high = max(high, float(np.nanmax(bins.highest)))
        log_latency(axes.yaxis, low, max([high, *run.limits.values()]))
        for name, limit in run.limits.items():
            limit_line(axes, limit, f"{name} ≤ {numbers.plain(limit)} ms")
        axes.set_ylabel("latency (ms)")
        _legend(axes)

    return _Panel(1.75, paint)


def _failed(run: RunView) -> _Panel | None:
    series = run.time
    if series is None or not any(series.ended_rps[name].any() for name in NOT_OK):
        return None

    def paint(axes: Axes) -> None:
        _outcomes(axes, series)
        axes.set_ylim(bottom=0)
        counting(axes.yaxis, 4)
        axes.set_ylabel("not ok/s")
        _legend(axes)

    return _Panel(1.05, paint)


def _outcomes(axes: Axes, series: TimeSeries) -> None:
    for name in NOT_OK:
        if series.ended_rps[name].any():
            colour, dash = _OUTCOMES[name]
            rates = series.ended_rps[name]
            axes.stairs(rates, series.edges_s, baseline=None, color=colour, linestyle=dash, linewidth=1.3, label=name)


def _inside(run: RunView, look: Look) -> list[_Panel]:
    panels = []
    server = run.server
    if server is not None and len(server.t_s) > 1:

        def paint_server(axes: Axes) -> None:
            axes.plot(server.t_s, server.compute, color="#00573f", label="compute")
            axes.plot(server.t_s, server.queue, color="#d55e00", linestyle=(0, (3, 1.2)), label="queue")
            axes.set_ylim(bottom=0)
            counting(axes.yaxis, 4)
            axes.set_ylabel("server (ms)")
            _legend(axes)

        panels.append(_Panel(1.05, paint_server))
    memory = ("anon_bytes", "RAM (MiB)") if _read(run, "anon_bytes") else ("uss_bytes", "USS (MiB)")
    for (name, title), scale, limit in (
        (("cpu_share", "CPU (cores)"), 1.0, "cpu_limit_cores"),
        (("throttled_share", "throttled %"), 0.01, ""),
        (memory, 2.0**20, "memory_limit_bytes"),
    ):
        found, most = _read(run, name), _read(run, limit)
        if found is not None and len(found.t_s) > 1:
            near = most is not None and found.peak >= _NEAR * most.last
            panels.append(_Panel(0.95, _gauge(found, title, scale, look, most.last if most and near else None)))
    return panels


def _read(run: RunView, name: str) -> Gauge | None:
    """Of the target; of its container where both that and its processes tell."""
    return next((gauge for gauge in run.gauges if gauge.name == name and gauge.arm == 0), None)


def _gauge(found: Gauge, title: str, scale: float, look: Look, limit: float | None) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        axes.plot(found.t_s, found.mean / scale, color=look.colour, linewidth=1.3)
        axes.set_ylim(0, max(float(found.mean.max()), limit or 0.0, 1e-9 * scale) / scale * 1.15)
        if limit is not None:
            limit_line(axes, limit / scale, f"limit {numbers.plain(limit / scale)}")
        counting(axes.yaxis, 3)
        axes.set_ylabel(short(title))

    return paint


def _legend(axes: Axes) -> None:
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 0.96),
        ncols=7,
        columnspacing=1.0,
        handlelength=1.6,
        borderpad=0.1,
        handletextpad=0.5,
        fontsize=8,
    )
