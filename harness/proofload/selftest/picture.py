"""Detection against magnitude: how often each decision says fail, from harmless to many times its margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from proofload.records import Status
from proofload.report.pictures.canvas import QUIET, draw
from proofload.selftest.simulated import Tally

_COLUMNS = 2
_PANEL_IN = 1.75


def curves_picture(curves: Mapping[str, Sequence[Tally]]) -> str:
    """An SVG document with one panel a curve: the share of fails with its 95 % bounds over the magnitude."""

    def paint(figure: Figure) -> None:
        rows = -(-len(curves) // _COLUMNS)
        grid = figure.subplots(rows, _COLUMNS, squeeze=False)
        panels = [axes for row in grid for axes in row]
        for axes, (name, tallies) in zip(panels, curves.items(), strict=False):
            _curve(axes, name, sorted(tallies, key=lambda one: one.shape.magnitude or 0.0))
        for axes in panels[len(curves) :]:
            axes.set_axis_off()

    svg = draw("curves", _PANEL_IN * -(-len(curves) // _COLUMNS) + 0.3, paint)
    return svg.replace("<svg ", '<svg width="980" style="background:#fff" ', 1)


def _curve(axes: Axes, name: str, tallies: Sequence[Tally]) -> None:
    at = [one.shape.magnitude or 0.0 for one in tallies]
    axes.fill_between(
        at,
        [one.lower(Status.FAIL) for one in tallies],
        [one.upper(Status.FAIL) for one in tallies],
        color="#0b5fa5",
        alpha=0.25,
        linewidth=0,
    )
    axes.plot(at, [one.share(Status.FAIL) for one in tallies], color="#0b5fa5", marker="o", label="fail")
    axes.plot(at, [one.share(Status.PASS) for one in tallies], color=QUIET, linestyle="--", marker="s", label="pass")
    axes.axhline(0.99, color=QUIET, linewidth=0.6)
    axes.set_ylim(-0.03, 1.05)
    axes.set_title(name, fontsize=8)
    axes.set_xlabel("magnitude (margins)", fontsize=7.5)
    axes.legend(fontsize=7, loc="center right")
