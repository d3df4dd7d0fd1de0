"""Tables that survive a kill: closed Parquet segments, every few seconds one, compacted at the end.

An open Parquet file has no footer and cannot be read, so each segment is written whole under a hidden name
and renamed. Compaction streams segment by segment into one file; once that file has its name, the
segments count no more, so a kill at any instant loses or doubles nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from proofload.errors import RunFolderError
from proofload.records import SAMPLE_DTYPE

COMPACT = "compact.parquet"
_PARTIAL = ".partial"
_COMPRESSION = "zstd"


class SegmentWriter:
    """Writes tables of one kind into `folder`, each as a closed segment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, table: pa.Table) -> None:
        self._count += 1
        path = self._folder / f"segment-{self._count:06d}.parquet"
        partial = path.with_suffix(_PARTIAL)
        pq.write_table(table, partial, compression=_COMPRESSION, compression_level=1)
        partial.replace(path)

    def compact(self) -> None:
        """Merge all segments into one file, without holding more than one in memory."""
        segments = sorted(self._folder.glob("segment-*.parquet"))
        if not segments:
            return
        partial = (self._folder / COMPACT).with_suffix(_PARTIAL)
        with pq.ParquetWriter(partial, pq.read_schema(segments[0]), compression=_COMPRESSION) as writer:
            for group in _grouped(segments):
                writer.write_table(pa.concat_tables([pq.read_table(path) for path in group]))
        partial.replace(self._folder / COMPACT)
        for path in segments:
            path.unlink()


_ROWS_PER_GROUP = 500_000


def _grouped(segments: Sequence[Path]) -> Iterator[list[Path]]:
    """Neighbouring segments, as many as make a row group of a sensible size."""
    group: list[Path] = []
    rows = 0
    for path in segments:
        group.append(path)
        rows += pq.read_metadata(path).num_rows
        if rows >= _ROWS_PER_GROUP:
            yield group
            group, rows = [], 0
    if group:
        yield group


def segment_files(folder: Path) -> list[Path]:
    """The files that hold the table, in order of writing."""
    compact = folder / COMPACT
    return [compact] if compact.exists() else sorted(folder.glob("segment-*.parquet"))


def samples_table(rows: NDArray[np.void]) -> pa.Table:
    """Rows of SAMPLE_DTYPE as an Arrow table of the same columns."""
    return pa.table({name: np.ascontiguousarray(rows[name]) for name in SAMPLE_DTYPE.names or ()})


def read_samples(folder: Path, *, phase: int | None = None) -> NDArray[np.void]:
    """All samples of a folder, or of one phase of it, in order of `intended_ns`.

    Reads row group by row group, so the peak is the result plus one group. Raises RunFolderError for a
    file that is damaged.
    """
    parts: list[NDArray[np.void]] = []
    for path in segment_files(folder):
        try:
            file = pq.ParquetFile(path)
            for group in range(file.num_row_groups):
                if phase is not None and not _may_hold(file, group, phase):
                    continue
                part = _structured(file.read_row_group(group))
                parts.append(part if phase is None else part[part["phase"] == phase])
        except (pa.ArrowException, OSError, KeyError) as exc:
            raise RunFolderError(
                f"the sample file {path} cannot be read",
                evidence=str(exc),
                cause="the file is damaged or was written by another version",
                remedy="move that file away to report on the rest, or run again",
            ) from exc
    total = sum(len(part) for part in parts)
    rows = np.empty(total, dtype=SAMPLE_DTYPE)
    at = 0
    while parts:  # frees each part as it is copied
        part = parts.pop(0)
        rows[at : at + len(part)] = part
        at += len(part)
    due = rows["intended_ns"]
    if total > 1 and bool(np.any(due[1:] < due[:-1])):
        rows = rows[np.argsort(due, kind="stable")]
    return rows


def _may_hold(file: pq.ParquetFile, group: int, phase: int) -> bool:
    column = (SAMPLE_DTYPE.names or ()).index("phase")
    statistics = file.metadata.row_group(group).column(column).statistics
    return statistics is None or not statistics.has_min_max or statistics.min <= phase <= statistics.max


def _structured(table: pa.Table) -> NDArray[np.void]:
    rows = np.empty(table.num_rows, dtype=SAMPLE_DTYPE)
    for name in SAMPLE_DTYPE.names or ():
        rows[name] = table.column(name).to_numpy()
    return rows
