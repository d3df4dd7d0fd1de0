"""Matplotlib as a pure function: no global figures, no dates, no random ids, no text taken for TeX."""

from __future__ import annotations

import io
import math
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from proofload.report import numbers

WIDTH_IN = 4.9
INK = "#1c1e26"
QUIET = "#6a6f7d"
HAIR = "#d5d8df"
LIMIT = "#a61e1e"

_SVG = "http://www.w3.org/2000/svg"
_NO_TURN = re.compile(r"^rotate\(-?0(?:\.0*)? ")
_XLINK = "http://www.w3.org/1999/xlink"
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and is drawn in the page's font
    "text.parse_math": False,  # a target may be called "$x^"
    "font.family": ["DejaVu Sans"],  # for the layout; comes with matplotlib, and is wider than what pages use
    "font.size": 9.8,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": HAIR,
    "grid.linewidth": 0.6,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.fontsize": 9.0,
    "legend.facecolor": "white",  # a legend within a panel covers what runs beneath it, and stays readable
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "legend.fancybox": False,
    "legend.handlelength": 2.4,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.6,
    "path.simplify": True,
}


def draw(key: str, height_in: float, paint: Callable[[Figure], None]) -> str:
    """An <svg> element with what `paint` put on an empty figure; its ids begin with `key`."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()  # whatever the user's matplotlibrc says; the context puts it back
        mpl.rcParams.update(_STYLE)
        mpl.rcParams["svg.hashsalt"] = key
        # A target's name may use any script; the reader's font draws it, ours only measures it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        warnings.filterwarnings("ignore", message="constrained_layout not applied", category=UserWarning)
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inlined(out.getvalue(), key)


def log_latency(axis: Any, low: float, high: float) -> None:
    """A logarithmic axis in ms with readable ticks, from a little below `low` to a little above `high`."""
    low, high = max(low, 1e-4), max(high, low * 1.5, 1e-4)
    bottom, top = low / 1.25, high * 1.35
    (axis.axes.set_yscale if axis.axis_name == "y" else axis.axes.set_xscale)("log")
    (axis.axes.set_ylim if axis.axis_name == "y" else axis.axes.set_xlim)(bottom, top)
    decades = math.log10(top / bottom)
    subs = (1.0, 2.0, 5.0) if decades <= 3 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axis.set_major_formatter(FuncFormatter(_plain_tick))
    axis.set_minor_locator(NullLocator() if decades <= 3 else LogLocator(subs=(2.0, 5.0), numticks=30))
    axis.set_minor_formatter(NullFormatter())


def counting(axis: Any, ticks: int = 6) -> None:
    """A linear axis of thousands-separated numbers."""
    axis.set_major_locator(MaxNLocator(ticks, min_n_ticks=3))
    axis.set_major_formatter(FuncFormatter(_plain_tick))


def limit_line(axes: Axes, value: float, text: str, *, colour: str = LIMIT) -> None:
    """A limit: a dashed line over the whole width, named at its left end."""
    axes.axhline(value, color=colour, linewidth=1.1, linestyle=(0, (5, 2)), zorder=2.5)
    axes.annotate(
        text,
        xy=(0.0, value),
        xycoords=("axes fraction", "data"),
        xytext=(4, 2.5),
        textcoords="offset points",
        ha="left",
        va="bottom",
        fontsize=8,
        color=colour,
        bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
        zorder=5,
    )


def short(text: str, limit: int = 22) -> str:
    """A name short enough for a legend."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def abreast(names: Sequence[str]) -> int:
    """How many names stand side by side in a legend over the figure, at most three: more would be cut off."""
    longest = max(map(len, names), default=0)
    return max(1, min(3, int(72 * WIDTH_IN / (5.6 * longest + 42))))


def _plain_tick(value: float, _place: int | None = None) -> str:
    return numbers.plain(float(f"{value:.10g}"))


def _inlined(svg: bytes, key: str) -> str:
    """Without prologue, metadata and fixed size; only the ids that are referred to, made unique by `key`."""
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    root = ET.fromstring(svg)  # noqa: S314  matplotlib's own output of a moment ago
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{{{_SVG}}}metadata":
                parent.remove(child)
    names: dict[str, str] = {}
    for element in root.iter():
        for attribute, value in element.attrib.items():
            for name in _referred(attribute, value):
                names.setdefault(name, f"{key}-{len(names)}")
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in names:
            element.set("id", names[own])
        if _NO_TURN.match(element.get("transform", "")):
            del element.attrib["transform"]
        for attribute, value in element.attrib.items():
            changed = value
            for name in _referred(attribute, value):
                changed = changed.replace(f"#{name}", f"#{names[name]}")
            element.set(attribute, changed)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.set("aria-hidden", "true")  # the figure around it carries the text that is read aloud
    return ET.tostring(root, encoding="unicode").strip()


def _referred(attribute: str, value: str) -> tuple[str, ...]:
    """Ids that an attribute refers to, as href="#id" or "url(#id)"; fill="#0b2f57" is a colour."""
    if attribute.endswith("href") and value.startswith("#"):
        return (value[1:],)
    return tuple(part.partition(")")[0] for part in value.split("url(#")[1:])
