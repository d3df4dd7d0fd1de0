"""Does serving compute what training computed? One feature, row by row, each row joined by its id.

Missing, type and category must be the same; numbers may differ by what arithmetic in another order or in
float32 makes of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.feature_values import Kind, Values, spread

ULPS = 2
"""Units in the last place of a float32 that never count: one pipeline may keep float64, the other float32."""
ULP32 = float(np.finfo(np.float32).eps)
_DUST = 5e-7
"""Differences below this part of a feature's spread are what cancellation leaves near zero."""
_INSTANTS = 1e8
"""From this size on numbers are instants, ids or money in small units, where a relative 1e-5 is hours or fortunes."""
_OFFSET = 100.0
MOST_TOKENS = 64
_EXACT_IN_FLOAT32 = 2.0**24


@dataclass(frozen=True, slots=True)
class Differences:
    """Where two pipelines differ. A row is in one mask at most."""

    null: NDArray[np.bool_]
    """Missing in one of them only."""
    type: NDArray[np.bool_]
    """Text in one, a number in the other."""
    value: NDArray[np.bool_]

    @property
    def any(self) -> NDArray[np.bool_]:
        return self.null | self.type | self.value


@dataclass(frozen=True, slots=True)
class Stratum:
    """Rows that training saw alike ("missing", "present", a category), and in which of them serving differs.

    A fault that only a few rows can show (all missing values, one category) is a share of 1 there.
    """

    name: str
    rows: NDArray[np.bool_]


def tolerance(reference: NDArray[np.float64], serving: NDArray[np.float64], rtol: float) -> NDArray[np.float64]:
    """How far a pair of numbers may lie apart: `rtol` of the larger one, at least 2 ULP of a float32.

    Of instants and other numbers that are large against their spread it is `rtol` of the spread: their size says
    nothing about their precision.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.maximum(np.abs(reference), np.abs(serving))
        usual = spread(reference)
        finite = np.abs(reference[np.isfinite(reference)])
        middle = float(np.median(finite)) if len(finite) else 0.0
        offset = middle >= _INSTANTS or middle > _OFFSET * usual
        relative = np.minimum(size, usual) if offset else size
        allowed: NDArray[np.float64] = np.maximum(rtol * relative, ULPS * ULP32 * size)
        return np.maximum(allowed, _DUST * usual)


def compare(reference: Values, serving: Values, rtol: float) -> Differences:
    """Row by row; both in the same order. Whole numbers on both sides must be equal up to float32."""
    null = reference.null != serving.null
    present = ~reference.null & ~serving.null
    texts = (reference.kind == Kind.TEXT) & (serving.kind == Kind.TEXT)
    types = present & ((reference.kind == Kind.TEXT) != (serving.kind == Kind.TEXT))
    value = np.zeros(len(reference), dtype=np.bool_)
    value[texts] = reference.text[texts] != serving.text[texts]
    numeric = reference.numeric & serving.numeric
    left, right = reference.number[numeric], serving.number[numeric]
    value[numeric] = ~_close(left, right, rtol)
    return Differences(null, types, value)


def strata(reference: Values) -> tuple[Stratum, ...]:
    """All rows; the missing ones; and of a feature with few distinct values, the rows of each value."""
    null = reference.null
    found = [Stratum("all rows", np.ones(len(reference), np.bool_))]
    if null.any() and not null.all():
        found.append(Stratum("rows missing in training", null))
    tokens = _few_tokens(reference)
    if tokens is not None:
        codes, names = tokens
        found += [Stratum(f"rows with {name}", codes == code) for code, name in enumerate(names)]
    return tuple(found)


def _few_tokens(values: Values) -> tuple[NDArray[np.int64], list[str]] | None:
    numbers = values.number[values.numeric]
    is_text = bool((values.kind == Kind.TEXT).any())
    if not is_text and (not len(numbers) or not _whole(numbers)):
        return None
    if not is_text and len(np.unique(numbers[: 20 * MOST_TOKENS])) > MOST_TOKENS:
        return None
    present = ~values.null
    if is_text:
        names, codes = np.unique(values.tokens()[present].astype(str), return_inverse=True)
    else:
        numbers, codes = np.unique(values.number[present], return_inverse=True)
        names = np.array([f"{number:.12g}" for number in numbers])
    if not 2 <= len(names) <= MOST_TOKENS:
        return None
    every = np.full(len(values), -1, dtype=np.int64)
    every[present] = codes
    return every, [str(name) for name in names]


def _close(left: NDArray[np.float64], right: NDArray[np.float64], rtol: float) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore", over="ignore"):
        if _whole(left) and _whole(right):
            size = np.maximum(np.abs(left), np.abs(right))
            allowed = np.where(size > _EXACT_IN_FLOAT32, ULP32 * size, 0.0)
        else:
            allowed = tolerance(left, right, rtol)
        near = np.abs(left - right) <= allowed
    return np.asarray((left == right) | (near & np.isfinite(left) & np.isfinite(right)))


def _whole(numbers: NDArray[np.float64]) -> bool:
    finite = numbers[np.isfinite(numbers)]
    return bool((finite == np.round(finite)).all())
