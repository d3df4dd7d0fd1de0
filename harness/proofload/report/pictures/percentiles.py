"""The tail: latency against percentile, both axes logarithmic, so that p99.9 gets as much room as p50."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from proofload.report import numbers
from proofload.report.document import Look
from proofload.report.pictures.canvas import INK, LIMIT, abreast, draw, limit_line, log_latency, short
from proofload.report.reduce.tail import Tail
from proofload.report.view import RunView

_TICKS = ((1, "0"), (2, "50"), (10, "90"), (20, "95"), (100, "99"), (1_000, "99.9"), (10_000, "99.99"))

_DASHES: tuple[tuple[float, tuple[float, ...]], ...] = (
    (0, ()),
    (0, (1.2, 1.2)),
    (0, (8, 2)),
    (0, (4, 1, 1, 1, 1, 1)),
    (0, (3, 1.2)),
)
_SHOWN_FROM = 0.9


def tail_picture(key: str, runs: Sequence[RunView], looks: Mapping[str, Look]) -> str:
    """One curve per run and measured phase, as deep as its sample supports, with its interval as a band."""

    names = [short(_called(run, curve, alone=len(runs) == 1), 34) for run in runs for curve in run.tails]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        values: list[float] = []
        labels = iter(names)
        for run in runs:
            phases = list(dict.fromkeys(curve.phase for curve in run.tails))
            for curve in run.tails:
                look = _look(looks[run.label], phases.index(curve.phase), curve.arm)
                values += _curve(axes, curve, look, next(labels))
        limits = sorted({(name, limit) for run in runs for name, limit in run.limits.items()})
        values += [limit for _, limit in limits]
        log_latency(axes.yaxis, min(values, default=1), max(values, default=100))
        for percentile, limit in limits:
            limit_line(axes, limit, f"{percentile} ≤ {numbers.plain(limit)} ms")
            where = 1.0 / max(1e-5, 1.0 - float(percentile[1:]) / 100)
            axes.plot([where], [limit], marker="v", markersize=7, color=LIMIT, markeredgecolor="white", zorder=6)
        axes.set_xscale("log")
        deepest = max((1.0 / curve.beyond[-1] for run in runs for curve in run.tails), default=100)
        axes.set_xlim(1, max(deepest * 1.15, 120))
        axes.set_xticks([at for at, _ in _TICKS], [text for _, text in _TICKS])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(1, max(deepest * 1.15, 120))
        axes.set_xlabel("percentile (%, log of what lies beyond)")
        axes.set_ylabel("latency (ms, log)")
        figure.legend(loc="outside upper left", ncols=abreast(names), columnspacing=1.4)

    return draw(key, 3.1 + 0.2 * -(-len(names) // abreast(names)), paint)


def _look(look: Look, phase: int, arm: int) -> Look:
    """A target's first phase has its own dashes, the others other ones; its second instance is black."""
    others = [dash for dash in _DASHES if dash != look.dash]
    dash = look.dash if not phase else others[(phase - 1) % len(others)]
    return dataclasses.replace(look, dash=dash, colour=INK if arm else look.colour)


def _called(run: RunView, curve: Tail, *, alone: bool) -> str:
    if len(run.tails) == 1:
        return run.label
    part = curve.phase + (f", instance {curve.arm + 1}" if curve.arm else "")
    return part if alone else f"{run.label} · {part}"


def _curve(axes: Axes, curve: Tail, look: Look, label: str) -> list[float]:
    x = 1.0 / curve.beyond
    known = np.isfinite(curve.low)
    axes.fill_between(x[known], curve.low[known], curve.high[known], color=look.colour, alpha=0.16, linewidth=0)
    end = len(x) if curve.censored_from is None else curve.censored_from
    axes.plot(x[:end], curve.ms[:end], color=look.colour, linestyle=look.dash, linewidth=1.3, label=label, zorder=3)
    if curve.censored_from is not None:
        axes.plot(x[end - 1 :], curve.ms[end - 1 :], color=look.colour, linestyle=":", linewidth=1.2, zorder=3)
        axes.annotate(
            "≥ timeout",
            (x[-1], curve.ms[-1]),
            (-2, 4),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=look.colour,
        )
    axes.plot([x[end - 1]], [curve.ms[end - 1]], marker=look.marker, markersize=4, color=look.colour, zorder=4)
    body = curve.beyond <= _SHOWN_FROM  # the fastest few would stretch the axis and say nothing
    shown = np.concatenate([curve.ms[body], curve.low[known], curve.high[known]])
    return [float(value) for value in shown if value > 0]
