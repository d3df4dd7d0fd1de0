"""CSV and Parquet, read in chunks and written as they come, so that memory does not grow with the file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from proofload_servers.serving.refusals import StartupError

SUFFIXES = (".csv", ".parquet")


class BadRow(dict[str, Any]):
    """A row that has no columns to speak of; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


def format_of(path: Path) -> str:
    """ ".csv" or ".parquet". Raises StartupError for anything else."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise StartupError(f"{path}: the name must end in {' or '.join(SUFFIXES)}")
    return suffix


class Table:
    """An input file: its columns at once, its rows in chunks. Cells of a CSV are text, empty ones included."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._csv = format_of(path) == ".csv"
        try:
            self.columns = self._header()
        except (OSError, pa.ArrowInvalid, UnicodeDecodeError, csv.Error) as exc:
            raise StartupError(f"{path} cannot be read: {exc}") from exc
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if twice:
            raise StartupError(f"{path} has the column(s) {', '.join(twice)} more than once")

    def _header(self) -> list[str]:
        if self._csv:
            with self._path.open(newline="", encoding="utf-8-sig") as file:
                return next(csv.reader(file), [])
        with pq.ParquetFile(self._path) as file:
            return list(file.schema_arrow.names)

    def chunks(self, size: int) -> Iterator[list[Mapping[str, Any]]]:
        """Lists of at most `size` rows, in the order of the file. Raises StartupError where the file is broken."""
        try:
            yield from self._csv_chunks(size) if self._csv else self._parquet_chunks(size)
        except (OSError, pa.ArrowInvalid, UnicodeDecodeError, csv.Error) as exc:
            raise StartupError(f"{self._path} cannot be read to its end: {exc}") from exc

    def _csv_chunks(self, size: int) -> Iterator[list[Mapping[str, Any]]]:
        width = len(self.columns)
        with self._path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            next(lines, None)
            chunk: list[Mapping[str, Any]] = []
            for cells in lines:
                if not cells:
                    continue
                if len(cells) == width:
                    chunk.append(dict(zip(self.columns, cells, strict=True)))
                else:
                    chunk.append(BadRow(f"has {len(cells)} cells where the header has {width}"))
                if len(chunk) == size:
                    yield chunk
                    chunk = []
            if chunk:
                yield chunk

    def _parquet_chunks(self, size: int) -> Iterator[list[Mapping[str, Any]]]:
        with pq.ParquetFile(self._path) as file:
            for batch in file.iter_batches(batch_size=size):
                yield batch.to_pylist()


class Writer(Protocol):
    """Where scored or rejected rows go."""

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Appends rows, all with the same members."""

    def close(self) -> None:
        """Ends the file."""


class CsvWriter:
    """A CSV with a header, also when no row follows."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, columns)
        self._writer.writeheader()

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._writer.writerows(rows)

    def close(self) -> None:
        self._file.close()


class ParquetWriter:
    """A Parquet file with a row group per call."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema)

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            self._writer.write_table(pa.Table.from_pylist(list(rows), schema=self._schema))

    def close(self) -> None:
        self._writer.close()
