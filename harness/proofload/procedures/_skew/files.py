"""Tables that others wrote — CSV, Parquet, JSON lines — read in pieces, so that their size is no matter.

Of more than `most` rows a part is taken: every row whose id falls into it by hash, the same in both tables, so
that what belongs together stays together.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from proofload.errors import InputError
from proofload.procedures._skew.columns import Typing, canonical, settle

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
KEY = "__key__"
"""The column that joins, as text, in what is kept."""
_LINES = 20_000
_SEPARATORS = ",;\t|"
_HASHES = float(2**64)


@dataclass(frozen=True, slots=True)
class Taken:
    """A table as it is kept: `KEY` (where one was named), then the other columns."""

    table: pa.Table
    rows: int
    """In the file."""
    share: float
    """Of the rows, taken."""
    without_key: int


def take(path: Path, key: str | None, *, most: int, share: float | None = None) -> Taken:
    """The table, or the part of it that `share` (by default: `most` over its rows) stands for.

    Raises InputError for what cannot be read, has no rows, two columns of one name, or no column `key`.
    """
    form = _form(path)
    names = _names(path, form)
    _refuse_names(path, names, key)
    rows = sum(len(batch) for batch in _batches(path, form, names, only=names[:1]))
    if not rows:
        raise InputError(f"{path} has columns but no rows", remedy="give a file with at least some hundred rows")
    part = min(1.0, most / rows) if share is None else share
    kept, nameless = [], 0
    for batch in _batches(path, form, names):
        whole = batch if form == "jsonl" else canonical(batch)
        if key is not None:
            ids = _as_text(whole.column(key))
            named = pc.is_valid(ids)
            nameless += len(ids) - pc.sum(named).as_py()
            whole = whole.drop_columns([key]).append_column(KEY, ids).filter(named)
            if part < 1.0:
                hashed = pd.util.hash_array(np.asarray(whole.column(KEY).to_pylist(), dtype=object), categorize=False)
                whole = whole.filter(pa.array(hashed < part * _HASHES))
        elif part < 1.0:
            step = max(1, round(1 / part))
            whole = whole.take(pa.array(range(0, len(whole), step)))
        kept.append(whole)
    if key is not None and nameless == rows:
        raise InputError(f"{path}: the column {key} is empty in every row", remedy="name the column that holds the ids")
    typing = Typing.TEXT if form == "csv" else Typing.OWN
    return Taken(settle(kept, typing), rows, part, nameless)


def _form(path: Path) -> str:
    form = SUFFIXES.get(path.suffix.lower())
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {what}", remedy="name a .csv, .parquet or .jsonl file")
    if form is None:
        raise InputError(
            f"{path.name} is not a table that can be read",
            evidence=f"known endings: {', '.join(SUFFIXES)}",
            remedy="save it as CSV, Parquet or JSON lines, with that ending",
        )
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty", remedy="check what wrote it")
    return form


def _names(path: Path, form: str) -> list[str]:
    try:
        if form == "parquet":
            return list(pq.ParquetFile(path).schema_arrow.names)
        if form == "jsonl":
            return list(dict.fromkeys(name for line in _first_lines(path) for name in line))
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file, delimiter=_separator(path)), [])
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as exc:
        raise _unreadable(path, exc) from exc


def _refuse_names(path: Path, names: Sequence[str], key: str | None) -> None:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise InputError(
            f"{path} has two columns called {twice[0]!r}", remedy="rename one: which of them is meant cannot be told"
        )
    if not names or not any(name.strip() for name in names):
        raise InputError(f"{path} has no columns", remedy="write the names of the columns into the first line")
    if key is not None and key not in names:
        raise InputError(
            f"{path} has no column {key!r} to join by",
            evidence=f"columns: {', '.join(map(str, names[:20]))}{'…' if len(names) > 20 else ''}",
            remedy="name the column that holds the id of each row in both files: --key COLUMN",
        )


def _batches(path: Path, form: str, names: Sequence[str], only: Sequence[str] | None = None) -> Iterator[Any]:
    try:
        if form == "parquet":
            yield from pq.ParquetFile(path).iter_batches(columns=only)
        elif form == "csv":
            texts = pacsv.ConvertOptions(
                column_types={name: pa.string() for name in names}, include_columns=only, strings_can_be_null=False
            )
            shape = pacsv.ParseOptions(delimiter=_separator(path), newlines_in_values=True)
            yield from pacsv.open_csv(path, parse_options=shape, convert_options=texts)
        else:
            yield from _json_batches(path, names)
    except (pa.ArrowException, OSError, UnicodeDecodeError, orjson.JSONDecodeError) as exc:
        raise _unreadable(path, exc) from exc


def _json_batches(path: Path, names: Sequence[str]) -> Iterator[pa.Table]:
    """Members that only later lines have are columns too, from there on."""
    found = dict.fromkeys(names)
    lines: list[dict[str, Any]] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            lines.append(_flat(path, number, line))
            if len(lines) == _LINES:
                yield _table(lines, found)
                lines = []
    if lines:
        yield _table(lines, found)


def _table(lines: Sequence[dict[str, Any]], names: dict[str, None]) -> pa.Table:
    names.update(dict.fromkeys(name for line in lines for name in line))
    return pa.table({name: _array([line.get(name) for line in lines]) for name in names})


def _array(items: list[Any]) -> pa.Array:
    """Of one type where all items have one, else JSON text (marked by its type: a large string)."""
    kinds = {type(item) for item in items} - {type(None)}
    if kinds <= {int, float}:
        return pa.array([None if item is None else float(item) for item in items], pa.float64())
    if kinds in ({bool}, {str}):
        return pa.array(items)
    return pa.array([None if item is None else json.dumps(item) for item in items], pa.large_string())


def _first_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number > 1000:
                return
            if line.strip():
                yield _flat(path, number, line)


def _flat(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """Objects within the line's object are laid flat: {"features": {"amount": 1}} has a column amount."""
    try:
        item = orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as exc:
        raise InputError(
            f"{path}, line {number} is not JSON", evidence=str(exc), remedy="write one JSON object per line"
        ) from exc
    if not isinstance(item, dict):
        raise InputError(f"{path}, line {number} is no JSON object", remedy="write one JSON object per line")
    flat: dict[str, Any] = {}
    for name, value in item.items():
        if not isinstance(value, dict):
            flat[name] = value
            continue
        for inner, held in value.items():
            flat[inner if inner not in item and inner not in flat else f"{name}.{inner}"] = held
    return flat


def _separator(path: Path) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        first = file.readline(1 << 20)
    return max(_SEPARATORS, key=first.count) if any(mark in first for mark in _SEPARATORS) else ","


def _as_text(ids: Any) -> Any:
    """17, 17.0 and "17" are one id; numbers of tables join texts of others."""
    if pa.types.is_large_string(ids.type):  # a mixed column, as JSON
        return pa.array([None if item is None else _id(json.loads(item)) for item in ids.to_pylist()], pa.string())
    if pa.types.is_floating(ids.type):
        return pa.array([None if item is None else _id(item) for item in ids.to_pylist()], pa.string())
    texts = pc.cast(ids, pa.string())
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(texts), ""), None, texts)


def _id(item: Any) -> str:
    return str(int(item)) if isinstance(item, float) and item.is_integer() else str(item)


def _unreadable(path: Path, exc: Exception) -> InputError:
    undecodable = isinstance(exc, UnicodeDecodeError) or "utf" in str(exc).lower()
    return InputError(
        f"{path} cannot be read" + (": it is not UTF-8 text" if undecodable else ""),
        evidence=str(exc)[:400],
        cause="it was saved in another encoding" if undecodable else "the file is damaged, or not what its ending says",
        remedy="save it as UTF-8, or as Parquet" if undecodable else "open it with the tool that wrote it, and check",
    )
