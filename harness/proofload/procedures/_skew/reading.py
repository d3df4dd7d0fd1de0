"""May two files be believed? They have rows, and all of them were read."""

from __future__ import annotations

from proofload.procedures._skew.tables import Side
from proofload.records import Validity


def read_well(reference: Side, serving: Side) -> tuple[Validity, ...]:
    """One item: what was read of either side, and of how many rows that was."""
    parts = []
    for side, what in ((reference, "training"), (serving, "serving")):
        rows, kept = side.about.get("rows", len(side)), side.about.get("kept", len(side))
        of = f" (a sample of {rows:,})" if kept < rows - side.about.get("without_key", 0) else ""
        parts.append(f"{kept:,} rows of {what}{of}")
    ok = len(reference) > 0 and len(serving) > 0
    return (Validity("no-data", ok=ok, detail=" and ".join(parts) + " were read", remedy="" if ok else "give rows"),)
