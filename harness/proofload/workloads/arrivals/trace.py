"""Recorded arrivals played again: `shape.file` holds one offset in seconds per line (a header is allowed).

`shape.speed` (default 1) plays faster or slower; `rate_rps` is not used. Offsets need not be sorted and are
shifted so that the first is due at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from proofload.clock import NS_PER_S
from proofload.errors import InputError
from proofload.workloads.arrivals import BLOCK, ArrivalSpec
from proofload.workloads.arrivals._rescaling import known_keys, positive


def create(spec: ArrivalSpec) -> Iterator[NDArray[np.int64]]:
    due = np.rint(_played(spec) * NS_PER_S).astype(np.int64)
    due = due[due < round(spec.duration_s * NS_PER_S)]
    return (due[start : start + BLOCK] for start in range(0, len(due), BLOCK))


def ends_s(spec: ArrivalSpec) -> float:
    """A mean gap after the last arrival; one that is alone has no gap, and takes all of the phase."""
    seconds = _played(spec)
    last = float(seconds[-1])
    return last * len(seconds) / (len(seconds) - 1) if last else spec.duration_s


def _played(spec: ArrivalSpec) -> NDArray[np.float64]:
    """Seconds from the first arrival on, in order."""
    known_keys(spec, "file", "speed")
    offsets = np.sort(_read(Path(str(spec.shape.get("file", "")))))
    played: NDArray[np.float64] = (offsets - offsets[0]) / positive(spec.shape.get("speed", 1.0), "shape.speed")
    return played


def _read(path: Path) -> NDArray[np.float64]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(
            f"cannot read the trace {str(path)!r}", evidence=str(exc), remedy="--set shape.file=FILE names a text file"
        ) from exc
    values: list[float] = []
    for number, line in enumerate(lines, start=1):
        text = line.split(",")[0].strip()
        if not text:
            continue
        try:
            values.append(float(text))
        except ValueError as exc:
            if number == 1:
                continue
            raise InputError(f"{path}:{number} is not a number of seconds", evidence=line[:80]) from exc
    if not values or not np.isfinite(values).all():
        raise InputError(f"the trace {path} holds no usable offsets", remedy="write one offset in seconds per line")
    return np.asarray(values)
