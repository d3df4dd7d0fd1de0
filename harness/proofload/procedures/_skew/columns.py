"""Columns of foreign tables in the forms that are kept: numbers, flags, texts, instants, and mixed ones as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from proofload.analysis.feature_values import Values

_NULLS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>", "#N/A")
_TIME = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d"
_LEADING_ZERO = r"^[+-]?0\d"
_SURE = 0.99
_INSTANT = pa.timestamp("us")


class Typing(Enum):
    """How the types of a table are known."""

    OWN = 1
    """Its columns have types."""
    TEXT = 2
    """All is text, and what looks like a number is one."""


def canonical(batch: Any) -> pa.Table:
    """Numbers as float64 (NaN is missing), flags, texts, instants in UTC; anything else as JSON text."""
    table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
    return pa.table({name: _canonical(table.column(name)) for name in table.column_names})


def settle(parts: Sequence[pa.Table], typing: Typing) -> pa.Table:
    """The parts as one table. A column that is of one type here and of another there is mixed."""
    names = list(dict.fromkeys(name for part in parts for name in part.column_names))
    columns: dict[str, Any] = {}
    for name in names:
        pieces = [
            part.column(name) if name in part.column_names else pa.nulls(len(part), pa.float64()) for part in parts
        ]
        types = {piece.type for piece in pieces if piece.null_count < len(piece)}
        if len(types) > 1:
            pieces = [pa.array(_as_json(piece), pa.large_string()) for piece in pieces]
        elif types:
            pieces = [piece if piece.type in types else pa.nulls(len(piece), next(iter(types))) for piece in pieces]
        chunks = [chunk for piece in pieces for chunk in (piece.chunks if hasattr(piece, "chunks") else [piece])]
        columns[name] = pa.chunked_array(chunks) if chunks else pa.nulls(0, pa.float64())
        if typing is Typing.TEXT and not name.startswith("__"):
            columns[name] = _parsed(columns[name])
    return pa.table(columns)


def values_of(column: Any) -> Values:
    """A kept column as values; instants as seconds since 1970."""
    if pa.types.is_timestamp(column.type):
        column = pc.divide(pc.cast(pc.cast(column, pa.int64()), pa.float64(), safe=False), 1e6)
    if pa.types.is_floating(column.type):
        return Values.of_numbers(np.asarray(column.to_numpy(), dtype=np.float64))
    if pa.types.is_large_string(column.type):
        return Values.of_objects([None if item is None else json.loads(item) for item in column.to_pylist()])
    return Values.of_objects(column.to_pylist())


def _canonical(column: Any) -> Any:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _canonical(column.dictionary_decode() if hasattr(column, "dictionary_decode") else column.cast(
            kind.value_type))  # fmt: skip
    if pa.types.is_boolean(kind) or pa.types.is_string(kind):
        return column
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):  # large ones are those that hold JSON
        return pc.cast(column, pa.string())
    if pa.types.is_null(kind):
        return pc.cast(column, pa.float64())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return pc.cast(pc.cast(column, pa.timestamp("us", getattr(kind, "tz", None)), safe=False), _INSTANT, safe=False)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = pc.cast(column, pa.float64(), safe=False)
        return pc.if_else(pc.is_nan(numbers), None, numbers)
    return pa.array([None if item is None else json.dumps(item, default=str) for item in column.to_pylist()],
                    pa.large_string())  # fmt: skip


def _as_json(column: Any) -> list[str | None]:
    if pa.types.is_large_string(column.type):
        items: list[str | None] = column.to_pylist()
        return items
    return [None if item is None else json.dumps(item, default=str) for item in column.to_pylist()]


def _parsed(column: Any) -> Any:
    """Text as it stands in a CSV: numbers, flags, instants where (nearly) all of it is, else texts or a mixture."""
    texts = pd.Series(column.to_pylist(), dtype="object").map(str.strip, na_action="ignore")
    texts = texts.where(~texts.isin(_NULLS), None)
    present = texts.dropna()
    if not len(present):
        return pa.nulls(len(texts), pa.float64())
    if present.str.lower().isin(("true", "false")).all():
        return pa.array([None if text is None else text.lower() == "true" for text in _plain(texts)], pa.bool_())
    numbers = pd.to_numeric(texts, errors="coerce").astype("float64")
    is_number = numbers.notna() & ~texts.fillna("").str.match(_LEADING_ZERO)
    share = float(is_number.sum()) / len(present)
    if share == 1.0:
        return pa.array(numbers.to_numpy(), pa.float64(), from_pandas=True)
    if share == 0.0 and float(present.str.match(_TIME).mean()) >= _SURE:
        instants = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
        if float(instants.notna().sum()) >= _SURE * len(present):
            return pa.array(instants.dt.tz_localize(None).astype("datetime64[us]"), _INSTANT, from_pandas=True)
    if share < 0.5:
        return pa.array(_plain(texts), pa.string())
    mixed: list[Any] = [
        None if text is None else (number if ok else text)
        for text, number, ok in zip(_plain(texts), numbers.tolist(), is_number.tolist(), strict=True)
    ]
    return pa.array([None if item is None else json.dumps(item) for item in mixed], pa.large_string())


def _plain(texts: pd.Series[Any]) -> list[str | None]:
    items: list[str | None] = texts.astype(object).where(np.asarray(texts.notna()), None).tolist()
    return items
