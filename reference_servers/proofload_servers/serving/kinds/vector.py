"""Vectors of numbers, as the scorer takes them: as little work per request as there can be."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload_servers.serving.card import Card
from proofload_servers.serving.refusals import InvalidInput

from . import float32_identity, scalars

LARGEST = float(np.finfo(np.float32).max)
_NUMBERS = {int, float}


class VectorKind:
    """`values`: a list of as many finite numbers as the card has features (or its input's width says)."""

    member = "values"

    def __init__(self, card: Card) -> None:
        self._column = int(card.output.get("column", -1))
        self._names = [str(feature["name"]) for feature in card.features]
        self._width = len(self._names) or int(card.input.get("width", 0)) or _last(card.input.get("shape"))

    def prepare(self, given: Any) -> list[float]:
        values = given if type(given) is list else _listed(given)
        if len(values) != self._width:
            raise InvalidInput(f"values must be {self._width} numbers, not {len(values)}")
        for position, value in enumerate(values):
            # The comparison refuses NaN and infinities too: they compare false.
            if type(value) not in _NUMBERS or not -LARGEST <= value <= LARGEST:
                raise InvalidInput(f"values[{position}] must be a finite number within float32")
        return values

    def identity(self, row: list[float]) -> bytes:
        return float32_identity(row)

    def explain(self, row: list[float]) -> Mapping[str, Any]:
        return dict(zip(self._names, row, strict=False))

    def stack(self, rows: Sequence[list[float]]) -> NDArray[np.float32]:
        return np.array(rows, dtype=np.float32)

    def predictions(self, outputs: NDArray[Any]) -> list[Any]:
        return scalars(outputs, self._column)

    def sample(self) -> list[float]:
        return [0.5] * self._width


def _listed(given: Any) -> list[Any]:
    """Any other sequence as a list: protobuf's repeated fields, tuples, arrays."""
    if isinstance(given, str | bytes | Mapping) or not hasattr(given, "__iter__"):
        raise InvalidInput("values must be a list of numbers")
    return list(given)


def _last(shape: Any) -> int:
    sizes = [size for size in shape or () if isinstance(size, int) and 0 < size < sys.maxsize]
    return sizes[-1] if sizes else 0
