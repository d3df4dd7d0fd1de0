"""Features one under the other: what differs, with its bound; and one feature, training against serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from proofload.records import Status
from proofload.report import numbers
from proofload.report.pictures.canvas import HAIR, INK, LIMIT, QUIET, draw, short

_PAINT = {Status.PASS: ("#00573f", "o"), Status.FAIL: ("#a61e1e", "X"), Status.INCONCLUSIVE: ("#8a6d1d", "D")}
_FLOOR = 1e-4
"""Shares below it, 0 among them, stand at the left edge."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One feature: what was seen, and the bounds of what may be."""

    name: str
    value: float
    low: float
    high: float
    status: Status
    told: str = ""


def features_picture(key: str, bars: Sequence[Bar], limit: float, axis: str, *, shares: bool) -> str:
    """`shares`: on a logarithmic axis in percent; else a linear one from 0 to 1."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for row, bar in enumerate(bars):
            colour, marker = _PAINT.get(bar.status, _PAINT[Status.INCONCLUSIVE])
            low, value, high = (max(item, _FLOOR) if shares else item for item in (bar.low, bar.value, bar.high))
            axes.axhline(row, color=HAIR, linewidth=0.4, zorder=0.5)
            axes.plot([low, high], [row, row], color=colour, linewidth=6, alpha=0.3, solid_capstyle="butt")
            axes.plot([value], [row], marker=marker, color=colour, markersize=6, linestyle="none")
            if bar.told:
                right = value < (0.03 if shares else 0.5)
                axes.annotate(
                    bar.told, (high if right else low, row), xytext=(5 if right else -5, 0),
                    textcoords="offset points", ha="left" if right else "right", va="center", fontsize=8.5, color=INK,
                )  # fmt: skip
        axes.axvline(limit, color=LIMIT, linewidth=1.1, linestyle=(0, (5, 2)))
        axes.set_yticks(range(len(bars)), [short(bar.name, 26) for bar in bars])
        axes.set_ylim(len(bars) - 0.5, -0.5)
        if shares:
            axes.set_xscale("log")
            axes.set_xlim(_FLOOR * 0.8, 1.3)
            axes.xaxis.set_major_formatter(FuncFormatter(_percent_tick))
        else:
            axes.set_xlim(0, min(1.0, 1.15 * max([limit * 1.5, *(bar.high for bar in bars)])))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(axis)

    return draw(key, 0.9 + 0.27 * len(bars), paint)


def pairs_picture(key: str, worst: dict[str, Any]) -> str:
    """Each event a dot: the feature in training across, in serving upwards. On the diagonal both agree."""
    wanted, got = np.array(worst["training"]), np.array(worst["serving"])
    differs = np.array(worst["differs"], dtype=np.bool_)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        both = np.concatenate([wanted, got])
        low, high = float(both.min()), float(both.max())
        axes.plot([low, high], [low, high], color=QUIET, linewidth=0.9, zorder=1)
        for mask, colour, marker, label in (
            (~differs, "#00573f", "o", "agree"),
            (differs, "#a61e1e", "x", "differ"),
        ):
            if mask.any():
                axes.plot(wanted[mask], got[mask], marker=marker, markersize=3.6, linestyle="none", color=colour,
                          alpha=0.7, label=label)  # fmt: skip
        if (both > 0).all() and high > 300 * max(low, 1e-12):
            axes.set_xscale("log")
            axes.set_yscale("log")
        axes.set_xlabel(f"{short(str(worst['name']), 40)} in training")
        axes.set_ylabel("in serving")
        axes.legend(loc="best")

    return draw(key, 3.0, paint)


def _percent_tick(value: float, _place: int | None = None) -> str:
    if value <= _FLOOR * 1.01:
        return f"≤ {numbers.plain(100 * _FLOOR)} %"
    return f"{numbers.plain(float(f'{100 * value:.6g}'))} %"
