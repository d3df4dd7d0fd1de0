"""The two tables of a run folder, joined: which rows belong together, which are missing, which occur twice."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from proofload.analysis.feature_values import Kind, Values
from proofload.errors import RunFolderError
from proofload.procedures._skew.columns import values_of
from proofload.procedures._skew.files import KEY, Taken

REFERENCE, SERVING = "reference.parquet", "serving.parquet"
_ABOUT = b"proofload"
_LABEL = re.compile(
    r"^(label|target|y|outcome|class|split|fold|weight|sample_weight|index|unnamed.*|__.*|.*_label)$", re.IGNORECASE
)
_PREDICTION = ("prediction", "score", "probability", "predicted")
_ENTITY = re.compile(
    r"(user|card|customer|account|client|entity|device|member|session|merchant)(_?id|_?key|_?no)?$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Side:
    """One table as it was kept."""

    columns: Mapping[str, Values]
    ids: NDArray[np.object_] | None
    instants: frozenset[str]
    about: Mapping[str, Any]
    """Of the file it came from: file, rows, kept, share, without_key."""

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else len(self.ids if self.ids is not None else ())


@dataclass(frozen=True, slots=True)
class Join:
    """Which rows of two tables have one id. Rows whose id occurs twice on a side are compared by its first."""

    reference_row: NDArray[np.int64]
    serving_row: NDArray[np.int64]
    reference_ids: int
    """Distinct ids of the reference; likewise of serving."""
    serving_ids: int
    missing: int
    """Ids of the reference that serving does not have."""
    unknown: int
    """Ids of serving that the reference does not have."""
    repeated: Mapping[str, int]
    """Rows beyond the first of their id: "training", "serving"."""


def parquet_bytes(taken: Taken, name: str) -> bytes:
    """A table as it is kept, with where it came from."""
    about = {
        "file": name, "rows": taken.rows, "kept": len(taken.table), "share": taken.share,
        "without_key": taken.without_key,
    }  # fmt: skip
    out = io.BytesIO()
    pq.write_table(taken.table.replace_schema_metadata({_ABOUT: json.dumps(about)}), out, compression="zstd")
    return out.getvalue()


def read_side(path: Path) -> Side:
    """Raises RunFolderError."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as exc:
        raise RunFolderError(f"{path} cannot be read", evidence=str(exc), remedy="run the scenario again") from exc
    instants = frozenset(field.name for field in table.schema if pa.types.is_timestamp(field.type))
    columns = {name: values_of(table.column(name)) for name in table.column_names if name != KEY}
    ids = None
    if KEY in table.column_names:
        ids = np.array(table.column(KEY).to_pylist(), dtype=object)
    about = json.loads((table.schema.metadata or {}).get(_ABOUT, b"{}"))
    return Side(columns, ids, instants, about)


def join(reference: NDArray[np.object_], serving: NDArray[np.object_]) -> Join:
    """By id. Order is the serving table's."""
    codes, _ = pd.factorize(np.concatenate([reference, serving]))
    left, right = codes[: len(reference)], codes[len(reference) :]
    count = int(codes.max(initial=-1)) + 1
    first_left, first_right = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    first_left[left[::-1]] = np.arange(len(left))[::-1]
    first_right[right[::-1]] = np.arange(len(right))[::-1]
    both = np.flatnonzero((first_left >= 0) & (first_right >= 0))
    both = both[np.argsort(first_right[both])]
    in_left, in_right = int((first_left >= 0).sum()), int((first_right >= 0).sum())
    return Join(
        first_left[both],
        first_right[both],
        in_left,
        in_right,
        missing=in_left - len(both),
        unknown=in_right - len(both),
        repeated={"training": len(left) - in_left, "serving": len(right) - in_right},
    )


def feature_names(
    reference: Side, serving: Side, *, chosen: Sequence[str], left_out: Sequence[str]
) -> tuple[list[str], list[str]]:
    """(features to compare, features that serving lacks). Labels and their kin, which training alone has, are none."""
    wanted = list(chosen) or [name for name in reference.columns if name not in set(left_out)]
    have = [name for name in wanted if name in serving.columns and name in reference.columns]
    lacking = [name for name in wanted if name not in serving.columns and (chosen or not _LABEL.match(name))]
    return have, lacking


def prediction_name(given: str | None, reference: Side, serving: Side) -> str | None:
    """The column that holds predictions on both sides: the one named, or one that is called so."""
    names = [given] if given else list(_PREDICTION)
    return next((name for name in names if name in reference.columns and name in serving.columns), None)


def entity_codes(given: str | None, reference: Side, names: Sequence[str]) -> tuple[str, NDArray[np.int64]] | None:
    """Whom each reference row is about: by the column named, or one whose name and repetitions say so."""
    candidates = [given] if given else [name for name in names if _ENTITY.search(name)]
    for name in candidates:
        if name not in reference.columns:
            continue
        tokens = reference.columns[name].tokens()
        codes, distinct = pd.factorize(tokens)
        if given or 2 <= len(distinct) <= 0.9 * len(codes):
            return name, codes.astype(np.int64)
    return None


def in_order_of_time(side: Side, timestamp: str | None) -> NDArray[np.int64]:
    """Row numbers, the earliest first; as they stand where no column of instants is known."""
    name = timestamp or next(iter(sorted(side.instants)), None)
    if name is None or name not in side.columns:
        return np.arange(len(side), dtype=np.int64)
    values = side.columns[name]
    if (values.kind == Kind.TEXT).any():
        return np.argsort(values.tokens().astype(str), kind="stable")
    return np.argsort(values.number, kind="stable")


def rows_of(columns: Mapping[str, Values], names: Sequence[str], rows: Any) -> dict[str, Values]:
    """These columns, these rows."""
    return {name: columns[name].take(rows) for name in names}
