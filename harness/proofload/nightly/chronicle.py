"""All nights as they are told: their names, every row, and the trends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proofload.nightly.night import Night
from proofload.nightly.rows import Row
from proofload.nightly.trends import CellKey, Trend, trends


@dataclass(frozen=True, slots=True)
class Chronicle:
    """What the pages and the exit code are made of."""

    nights: tuple[str, ...]
    """The oldest first."""
    planned: frozenset[CellKey]
    """Cells of the last night."""
    rows: tuple[Row, ...]
    trends: tuple[Trend, ...]


def chronicle_of(nights: Sequence[Night], rows: Sequence[Row]) -> Chronicle:
    """`nights`: the oldest first. Rows of other nights are left out."""
    names = tuple(night.name for night in nights)
    known = [row for row in rows if row.night in set(names)]
    last = nights[-1].cells if nights else ()
    planned = frozenset((cell.scenario_name, cell.target_name, cell.device) for cell in last)
    return Chronicle(names, planned, tuple(known), tuple(trends(known, names)))
