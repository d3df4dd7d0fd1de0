"""One look per target: the same target has the same colour in every picture and table of a report, and,
as far as collisions allow, in every report."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

from proofload.report.document import Look

# Okabe and Ito's palette for colour-blind readers, without its yellow and its lightest blue, which vanish on
# white; the last two are darker mixtures that keep their distance in grey.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b0569a", "#8a6d00", "#333333", "#5b4fc4", "#7d1f3f")
_SALT = "g"  # under which the reference servers, with and without "-cpu", all prefer different slots
_PREFERRED = 5  # the first ones are told apart most easily; the others are for when these are taken
_MARKERS = (("o", "●"), ("s", "■"), ("^", "▲"), ("D", "◆"), ("v", "▼"), ("P", "✚"), ("X", "✖"), ("*", "★"))
_DASHES: tuple[tuple[float, tuple[float, ...]], ...] = (
    (0, ()),  # solid
    (0, (6, 1.5)),
    (0, (3, 1.2)),
    (0, (6, 1.5, 1, 1.5)),
    (0, (1.2, 1.2)),
    (0, (8, 2, 2, 2)),
    (0, (4, 1, 1, 1, 1, 1)),
    (0, (2, 2)),
)


def looks(labels: Sequence[str]) -> Mapping[str, Look]:
    """A look for each label. Colours are distinct up to eight labels; the order of labels does not matter."""
    taken: dict[int, str] = {}
    found: dict[str, Look] = {}
    for label in sorted(set(labels)):
        slot = zlib.crc32(f"{_SALT}{label}".encode("utf-8", "replace")) % _PREFERRED
        if len(taken) < len(_COLOURS):
            while slot in taken:
                slot = (slot + 1) % len(_COLOURS)
        taken[slot] = label
        marker, symbol = _MARKERS[slot]
        found[label] = Look(_COLOURS[slot], marker, symbol, _DASHES[slot])
    return found
