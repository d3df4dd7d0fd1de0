"""A stream over time while its workers come and go: answers, surplus answers, and how long each message waited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from proofload.report.document import Look
from proofload.report.pictures.canvas import INK, LIMIT, counting, draw, log_latency

SURPLUS = "#d55e00"
OVERTAKEN = "#b0569a"


@dataclass(frozen=True, slots=True)
class Stream:
    """In seconds since the first judged phase began."""

    edges_s: NDArray[np.float64]
    sent_rps: NDArray[np.float64]
    answered_rps: NDArray[np.float64]
    again_rps: NDArray[np.float64]
    """Answers beyond the first."""
    waits: NDArray[np.float64]
    """(sent s, ms until the first answer) of some of the messages."""
    lost_s: NDArray[np.float64]
    """When the lost messages were sent."""
    overtaken_s: NDArray[np.float64]
    """When answers came out of order, to a fifth of a second."""
    phases: Sequence[tuple[float, float, str]]
    """(from, to, name)."""
    marks: Sequence[tuple[float, str]]
    """(s, what was done to a worker)."""


def stream_picture(key: str, stream: Stream, look: Look) -> str:
    """Two panels on one time axis; phases are shaded, interventions are dashed lines with their names."""

    def paint(figure: Figure) -> None:
        rates, waits = figure.subplots(2, 1, sharex=True, height_ratios=(1.0, 1.25))
        _rates(rates, stream, look)
        _waits(waits, stream, look)
        for axes in (rates, waits):
            for begin, end, _ in stream.phases:
                axes.axvspan(begin, end, color="#0b2f57", alpha=0.06, linewidth=0, zorder=0)
            for at, _ in stream.marks:
                axes.axvline(at, color=INK, linewidth=0.7, linestyle=(0, (4, 2)), zorder=1.2)
        _phases_named(rates, stream)
        _named(waits, stream)
        waits.set_xlim(0, float(stream.edges_s[-1]))
        counting(waits.xaxis, 8)
        waits.set_xlabel("time since the first phase began (s)")
        figure.align_ylabels([rates, waits])

    return draw(key, 3.9, paint)


def _rates(axes: Axes, stream: Stream, look: Look) -> None:
    edges = stream.edges_s
    axes.stairs(stream.answered_rps, edges, color=look.colour, fill=True, alpha=0.35, label="first answers")
    if stream.again_rps.any():
        axes.stairs(
            stream.answered_rps + stream.again_rps, edges, baseline=stream.answered_rps, fill=True, hatch="////",
            facecolor="none", edgecolor=SURPLUS, linewidth=0, label="answers beyond the first",
        )  # fmt: skip
    axes.stairs(stream.sent_rps, edges, baseline=None, color=INK, linewidth=1.0, label="sent")
    top = float(np.max(stream.answered_rps + stream.again_rps, initial=1.0))
    axes.set_ylim(0, max(top, float(np.max(stream.sent_rps, initial=1.0))) * 1.6)
    axes.set_yscale("function", functions=(np.sqrt, np.square))  # catching up dwarfs all else
    counting(axes.yaxis, 4)
    axes.set_ylabel("messages/s (root scale)")
    axes.legend(loc="upper left", ncols=3, columnspacing=1.0, handlelength=1.6, fontsize=8)


def _waits(axes: Axes, stream: Stream, look: Look) -> None:
    waited = stream.waits[:, 1]
    low, high = (float(waited.min()), float(waited.max())) if len(waited) else (1.0, 100.0)
    if len(waited):
        axes.plot(*stream.waits.T, ".", color=look.colour, markersize=2.2, alpha=0.6, label="first answer")
    log_latency(axes.yaxis, low, high * 20.0)
    if len(stream.overtaken_s):
        at = np.full(len(stream.overtaken_s), low)
        axes.plot(stream.overtaken_s, at, "^", color=OVERTAKEN, markersize=4, alpha=0.8, label="out of order")
    if len(stream.lost_s):
        at = np.full(len(stream.lost_s), high * 2.0)
        axes.plot(stream.lost_s, at, "x", color=LIMIT, markersize=5, label="never answered")
    axes.set_ylabel("wait for the answer (ms)")
    axes.legend(loc="upper left", ncols=3, columnspacing=1.0, handlelength=1.4, fontsize=8, markerscale=1.6)


def _phases_named(axes: Axes, stream: Stream) -> None:
    free, width = -np.inf, float(stream.edges_s[-1])
    for begin, _, name in stream.phases:
        if begin < free:
            continue
        free = begin + width * (0.015 * len(name) + 0.01)
        axes.annotate(name, (begin, 1.0), (1, 2), xycoords=("data", "axes fraction"), textcoords="offset points",
                      fontsize=7.5, annotation_clip=False)  # fmt: skip


def _named(axes: Axes, stream: Stream) -> None:
    """What was done, beside its line, where there is room."""
    free, width = -np.inf, float(stream.edges_s[-1])
    for at, name in stream.marks:
        if at < free:
            continue
        free = at + width * 0.03
        axes.annotate(
            name, (at, 0.03), (2, 0), xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=7.5,
            rotation=90, va="bottom", ha="left",
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
        )  # fmt: skip
