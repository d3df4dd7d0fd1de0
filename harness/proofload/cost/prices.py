"""The price table: what a resource costs, as a range, with where, when and according to whom."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from proofload.errors import InputError

_TEXTS = ("currency", "unit", "region", "date", "source")


@dataclass(frozen=True, slots=True)
class Price:
    """What one unit of a resource costs: between `low` and `high`, in `currency`."""

    name: str
    low: float
    high: float
    currency: str
    unit: str
    region: str
    date: str
    source: str

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2.0

    def __str__(self) -> str:
        amount = f"{self.low:g}" if self.low == self.high else f"{self.low:g}–{self.high:g}"
        return f"{self.name} at {amount} {self.currency} per {self.unit} ({self.region}, {self.date}, {self.source})"


def read_prices(path: Path) -> Mapping[str, Price]:
    """Prices by name. Raises InputError for a file that cannot be read or an entry that is not whole."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise InputError(f"the price table {path} cannot be read", evidence=str(exc)) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise InputError(f"the price table {path} is not TOML", evidence=str(exc)) from exc
    return MappingProxyType({name: _price(name, entry, path) for name, entry in tables.items()})


def _price(name: str, entry: Any, path: Path) -> Price:
    if not isinstance(entry, dict):
        raise _broken(path, name, "it is not a table", f"write it as [{name}] with low, high, {', '.join(_TEXTS)}")
    missing = [key for key in ("low", "high", *_TEXTS) if key not in entry]
    if missing:
        raise _broken(path, name, f"missing: {', '.join(missing)}", "a price without them would be worth nothing")
    low, high = entry["low"], entry["high"]
    if not (_amount(low) and _amount(high) and 0 <= low <= high and high > 0):
        raise _broken(
            path,
            name,
            f"low = {low!r}, high = {high!r}",
            "give 0 <= low <= high, high above 0; leave out what has no known price",
        )
    texts = {key: str(entry[key]).strip() for key in _TEXTS}
    empty = [key for key, text in texts.items() if not text]
    if empty:
        raise _broken(path, name, f"empty: {', '.join(empty)}", "say where, when and according to whom")
    return Price(name=name, low=float(low), high=float(high), **texts)


def _amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _broken(path: Path, name: str, evidence: str, remedy: str) -> InputError:
    return InputError(f"the price of {name!r} in {path} is not whole", evidence=evidence, remedy=remedy)
