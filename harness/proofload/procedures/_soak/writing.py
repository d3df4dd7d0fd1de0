"""What a target writes beside the files that it holds open: a log opened for each line, a file for each request."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from proofload.analysis.trend import Column
from proofload.procedures._soak.checks import CAUSES, WRITTEN, rounded
from proofload.procedures._soak.growth import Course, Judged
from proofload.procedures._soak.signals import MIB, Readings, between
from proofload.records import Check, Interval, Status
from proofload.report import numbers

_MOSTLY = 0.8
"""So much of what was written and is not held open has filled the disk: then it is what fills it."""
_OF_THE_LAB = 5.0
"""What the lab wrote has to be so many times less, or it may as well have been that."""


def written_check(
    readings: Readings, course: Course, disk: Judged | None, allowed_per_s: float, folder: Path
) -> Check | None:
    """None where it is not known what was written, or where the files that it holds open have failed already.

    Bytes written are those that processes handed to the disk, less what was taken back before it got there
    (/proc/PID/io). They fill it, or replace what was there: how full its file systems got tells which, unless others
    write to them too.
    """
    span = course.start_ns, course.main.settled_s, course.main.end_s
    written = _gained(between(readings, "written_bytes", *span), only_up=True)
    if written is None or (disk is not None and disk.status is Status.FAIL):
        return None
    seconds = course.main.end_s - course.main.settled_s
    held = max(0.0, disk.growth.growth) if disk is not None and np.isfinite(disk.growth.growth) else 0.0
    elsewhere = max(0.0, written - held) / seconds
    filled = _gained(between(readings, "disk_used_bytes", *span))
    own = _size(folder) / max(course.main.end_s, seconds)
    by_others = None if filled is None else filled / seconds - own
    status, told = _ruled(elsewhere, by_others, own, allowed_per_s)
    return Check(
        name=WRITTEN,
        status=status,
        observed=elsewhere / MIB,
        limit=rounded(allowed_per_s / MIB),
        unit="MiB/s",
        interval=Interval(None, None),
        evidence=f"it wrote {_rate(elsewhere)} to files that it does not hold open{told}",
        settle="a disk that nothing else writes to, and can be looked at" if status is Status.INCONCLUSIVE else "",
        cause=CAUSES["disk"] if status is Status.FAIL else "",
    )


def _ruled(elsewhere: float, filled: float | None, own: float, allowed: float) -> tuple[Status, str]:
    """Rates in bytes per second; `filled`: of the disk, less what the lab wrote."""
    if elsewhere <= allowed:
        return Status.PASS, ""
    if filled is None:
        return Status.INCONCLUSIVE, "; whether that stays there was not read"
    if filled <= allowed:
        return Status.PASS, f", and its disk filled by {_rate(max(0.0, filled))}: most of it replaces what was there"
    if filled >= _MOSTLY * elsewhere and elsewhere >= _OF_THE_LAB * own:
        return Status.FAIL, f", and its disk filled by {_rate(filled)}"
    return Status.INCONCLUSIVE, f"; its disk filled by {_rate(filled)}, which others may have written"


def _gained(values: Column, *, only_up: bool = False) -> float | None:
    """By how much they grew; None for fewer than two. `only_up`: a counter, which falls when a process leaves the tree
    unnoticed."""
    if len(values) < 2:
        return None
    return float(np.diff(values).clip(min=0.0).sum()) if only_up else float(values[-1] - values[0])


def _size(folder: Path) -> int:
    """What the lab itself has written of this run."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _rate(bytes_per_s: float) -> str:
    return f"{numbers.significant(bytes_per_s / MIB)} MiB/s"
