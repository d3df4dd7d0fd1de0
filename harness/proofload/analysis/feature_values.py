"""Values of one feature as two pipelines give them: missing, number, flag or text, each row for itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WIDE = (0.25, 0.75)


class Kind(IntEnum):
    """What a value is. NaN counts as missing, an infinity as a number."""

    NULL = 0
    NUMBER = 1
    FLAG = 2
    TEXT = 3


@dataclass(frozen=True, slots=True)
class Values:
    """One feature, a row each."""

    kind: NDArray[np.uint8]
    number: NDArray[np.float64]
    """Of numbers and flags; NaN elsewhere."""
    text: NDArray[np.object_]
    """Of texts; empty elsewhere."""

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, rows: NDArray[Any]) -> Values:
        """These rows (by number or by mask), in this order."""
        return Values(self.kind[rows], self.number[rows], self.text[rows])

    def then(self, others: Values) -> Values:
        """These rows, then the others."""
        return Values(
            np.concatenate([self.kind, others.kind]),
            np.concatenate([self.number, others.number]),
            np.concatenate([self.text, others.text]),
        )

    @property
    def null(self) -> NDArray[np.bool_]:
        return np.asarray(self.kind == Kind.NULL)

    @property
    def numeric(self) -> NDArray[np.bool_]:
        return np.asarray((self.kind == Kind.NUMBER) | (self.kind == Kind.FLAG))

    def tokens(self) -> NDArray[np.object_]:
        """Each value as text; numbers in the shortest form that tells them apart, missing ones as None."""
        found: NDArray[np.object_] = self.text.copy()
        numeric = self.numeric
        found[numeric] = [f"{value:.12g}" for value in self.number[numeric].tolist()]
        found[self.null] = None
        return found

    @staticmethod
    def of_numbers(numbers: NDArray[Any]) -> Values:
        """Numbers alone; NaN is missing."""
        number = np.asarray(numbers, dtype=np.float64)
        kind = np.where(np.isnan(number), Kind.NULL, Kind.NUMBER).astype(np.uint8)
        return Values(kind, number, _no_text(len(number)))

    @staticmethod
    def of_objects(items: Sequence[Any]) -> Values:
        """JSON scalars (None, bool, number, text); anything else counts as the text that stands for it."""
        kind = np.zeros(len(items), np.uint8)
        number = np.full(len(items), np.nan)
        text = _no_text(len(items))
        for row, item in enumerate(items):
            match item:
                case None:
                    continue
                case bool():
                    kind[row], number[row] = Kind.FLAG, float(item)
                case int() | float():
                    value = _as_float(item)
                    kind[row], number[row] = (Kind.NULL if math.isnan(value) else Kind.NUMBER), value
                case _:
                    kind[row], text[row] = Kind.TEXT, str(item)
        return Values(kind, number, text)


def spread(values: NDArray[np.float64]) -> float:
    """How far values of a feature usually lie apart: the middle half's width; where that is 0 the standard
    deviation, then the median's size, then 1. Sets what a small difference is."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 1.0
    low, high = np.quantile(finite, _WIDE)
    with np.errstate(over="ignore", invalid="ignore"):
        for width in (high - low, float(np.std(finite)), abs(float(np.median(finite)))):
            if math.isfinite(width) and width > 0:
                return float(width)
    return 1.0


def _as_float(item: float) -> float:
    try:
        return float(item)
    except OverflowError:
        return math.inf if item > 0 else -math.inf


def _no_text(rows: int) -> NDArray[np.object_]:
    return np.full(rows, "", dtype=np.object_)
