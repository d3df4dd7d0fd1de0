"""From a table's row to the input of one prediction, by kind of model."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from typing import Any

from proofload_servers.serving.card import Card
from proofload_servers.serving.refusals import InvalidInput, StartupError

Row = Mapping[str, Any]

NUMBERS = frozenset({"amount", "mean_eur_30d", "sd_eur_30d", "count_30d", "device_age_days", "declined_24h"})
TEXTS = frozenset(
    {
        "timestamp", "currency", "channel", "merchant_category", "merchant_country", "home_country",
        "account_opened_on", "last_transaction_at", "history_as_of",
    }
)  # fmt: skip
"""The members of a raw transaction that features are computed from; `fraud` payloads carry the same."""


def reader_of(card: Card, columns: Collection[str]) -> Callable[[Row], Any]:
    """The function from a row to the input of the card's kind.

    Raises StartupError when a column is missing altogether: taking it as null in every row would be skew.
    """
    match card.kind:
        case "transaction":
            _require(columns, sorted(NUMBERS | TEXTS))
            return transaction
        case "vector":
            names = [str(feature["name"]) for feature in card.features]
            if "values" in columns:
                return lambda row: row["values"]
            _require(columns, names)
            return lambda row: [number(name, row[name]) for name in names]
        case _:
            _require(columns, ["image"])
            return lambda row: row["image"]


def _require(columns: Collection[str], wanted: Collection[str]) -> None:
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise StartupError(f"the input lacks the column(s) {', '.join(missing)}")


def transaction(row: Row) -> dict[str, Any]:
    """The raw transaction; an empty cell is a missing value. Raises InvalidInput for a number that is none."""
    found: dict[str, Any] = {name: number(name, row[name]) for name in NUMBERS}
    for name in TEXTS:
        value = row[name]
        # Parquet may hold real times and dates; the transaction carries them as ISO 8601 text.
        found[name] = value.isoformat() if isinstance(value, datetime | date) else value or None
    return found


def number(name: str, cell: Any) -> float | int | None:
    """A cell as a number; empty and, in Parquet, NaN are missing."""
    if cell is None or cell == "":
        return None
    if isinstance(cell, str):
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InvalidInput(f"{name} is not a number")
        return value
    if isinstance(cell, float) and math.isnan(cell):
        return None
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        raise InvalidInput(f"{name} is not a number")
    return cell
