"""Making a run folder: run.json, events.jsonl, samples/, probes/ as the run goes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from proofload.errors import RunFolderError
from proofload.records import Event, Reading
from proofload.store.segments import SegmentWriter, samples_table


def claim(out: Path) -> Path:
    """Make the folder, or take an empty one. Raises RunFolderError for one that holds anything."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        occupied = next(out.iterdir(), None)
    except OSError as exc:
        raise RunFolderError(
            f"cannot make the run folder {out}", evidence=str(exc), remedy="name another folder with --out"
        ) from exc
    if occupied is not None:
        raise RunFolderError(
            f"the run folder {out} already holds something",
            evidence=str(occupied),
            cause="runs are never written over",
            remedy="name a new or empty folder with --out",
        )
    return out


class Recording(Protocol):
    """Where engines' samples and words go: a run folder, or what passes them on to one."""

    @property
    def path(self) -> Path:
        """A folder for what engine processes write themselves."""

    @property
    def logs(self) -> Path: ...

    def add_samples(self, rows: NDArray[np.void]) -> None: ...

    def add_event(self, event: Event) -> None: ...

    def flush_readings(self) -> None: ...


class RunFolder:
    """The writing side of one run's record. Safe to call from several threads."""

    def __init__(self, path: Path, run: Mapping[str, Any]) -> None:
        """Takes a claimed folder and writes run.json: everything that was known before the first request."""
        self.path = path
        self.logs = path / "logs"
        self.logs.mkdir(exist_ok=True)
        write_json(path / "run.json", run)
        self._samples = SegmentWriter(path / "samples")
        self._probes = SegmentWriter(path / "probes")
        self._events = (path / "events.jsonl").open("ab")
        self._lock = threading.Lock()
        self._readings: list[Reading] = []

    def add_samples(self, rows: NDArray[np.void]) -> None:
        """Write one closed segment of samples."""
        if len(rows):
            self._samples.write(samples_table(rows))

    def add_readings(self, readings: Sequence[Reading]) -> None:
        """Keep probe readings for the next `flush_readings`."""
        with self._lock:
            self._readings.extend(readings)

    def add_event(self, event: Event) -> None:
        """Append an event; it is on its way to disk when this returns."""
        line = orjson.dumps(
            {"t_ns": event.t_ns, "kind": event.kind, "detail": dict(event.detail)},
            default=str,
            option=orjson.OPT_NON_STR_KEYS,
        )
        with self._lock:
            self._events.write(line + b"\n")
            self._events.flush()

    def flush_readings(self) -> None:
        """Write one closed segment of the readings kept so far."""
        with self._lock:
            readings, self._readings = self._readings, []
        if readings:
            self._probes.write(_readings_table(readings))

    def close(self) -> None:
        """Compact the tables. The folder is complete but for its result and reports."""
        self.flush_readings()
        self._samples.compact()
        self._probes.compact()
        self._events.close()


def write_json(path: Path, value: Any) -> None:
    """As `write_whole`, of the value's JSON."""
    write_whole(path, orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str) + b"\n")


def write_whole(path: Path, content: bytes) -> None:
    """Write under a hidden name and rename, so that no reader ever sees half a file. Raises RunFolderError."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as exc:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise RunFolderError(
            f"cannot write {path}",
            evidence=str(exc),
            cause="the disk is full" if exc.errno in {ENOSPC, EDQUOT} else "it may not be written to",
            remedy=f"make room for it, then `proofload report {path.parent}`: what was recorded is kept",
        ) from exc


def _readings_table(readings: Sequence[Reading]) -> pa.Table:
    return pa.table(
        {
            "t_ns": np.array([one.t_ns for one in readings], dtype=np.int64),
            "arm": np.array([one.arm for one in readings], dtype=np.uint8),
            "source": [one.source for one in readings],
            "name": [one.name for one in readings],
            "value": np.array([one.value for one in readings], dtype=np.float64),
        }
    )
