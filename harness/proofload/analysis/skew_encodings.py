"""Errors of form: missing values filled, text for numbers, categories that mean something else."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.feature_values import Kind, Values
from proofload.analysis.parity import Differences
from proofload.analysis.skew_patterns import Pattern

_MOST_CATEGORIES = 500
_ROWS_PER_CATEGORY = 4
_SHOWN = 3


def filled(reference: Values, serving: Values, found: Differences, rows: NDArray[np.bool_]) -> Pattern | None:
    """Missing on one side only: what the other side has there. `rows`: those that differ."""
    differs = found.null & rows
    count = int(differs.sum())
    if not count:
        return None
    lost = int((serving.null & differs).sum())
    says = []
    if lost < count:
        says.append(f"missing in training, {_mostly(serving.take(differs & reference.null))} in serving")
    if lost:
        says.append(f"missing in serving, {_mostly(reference.take(differs & serving.null))} in training")
    return Pattern("null-handling", count / int(rows.sum()), "; ".join(says))


def constant(reference: Values, serving: Values, rows: NDArray[np.bool_]) -> Pattern | None:
    """One value in serving for many in training: what a failed look-up falls back to."""
    wanted, got = reference.take(rows).tokens(), serving.take(rows).tokens()
    present = np.array([token is not None for token in wanted]) & np.array([token is not None for token in got])
    if present.sum() < 5:
        return None
    (value, count), *_ = Counter(got[present].tolist()).most_common(1)
    if len(set(wanted[present].tolist())) < 5:
        return None
    return Pattern("null-handling", count / len(wanted), f"serving has {value} whatever training has")


def retyped(reference: Values, serving: Values, found: Differences, rows: NDArray[np.bool_]) -> Pattern | None:
    """The same value as text in one and as a number in the other."""
    differs = np.flatnonzero(found.type & rows)
    same = 0
    for row in differs.tolist():
        text, number = (
            (reference.text[row], serving.number[row])
            if reference.kind[row] == Kind.TEXT
            else (serving.text[row], reference.number[row])
        )
        same += _means(str(text), float(number))
    if not same:
        return None
    where = "serving" if (serving.kind[differs] == Kind.TEXT).mean() > 0.5 else "training"
    return Pattern("type", same / int(rows.sum()), f"a number in text in {where}, the same number in the other")


def relabelled(reference: Values, serving: Values, rows: NDArray[np.bool_]) -> Pattern | None:
    """Each category of training is one other category in serving: another encoder; or many are one: unknown to it."""
    both = ~reference.null & ~serving.null
    if not _categorical(reference):
        return None
    wanted = reference.take(both).tokens().astype(str)
    got = serving.take(both).tokens().astype(str)
    differs = rows[both]
    names, codes = np.unique(wanted, return_inverse=True)
    if len(names) > min(_MOST_CATEGORIES, max(2, len(wanted) // _ROWS_PER_CATEGORY)):
        return None
    explained, mapping = 0, []
    for code in np.unique(codes[differs]).tolist():
        of_it = codes == code
        (label, hits), *_ = Counter(got[of_it].tolist()).most_common(1)
        inconsistent = int(of_it.sum()) - hits
        if label == names[code] or inconsistent > 0.1 * of_it.sum():
            continue
        explained += hits
        mapping.append((hits, str(names[code]), str(label)))
    if not mapping:
        return None
    mapping.sort(reverse=True)
    labels = {label for _, _, label in mapping}
    shown = ", ".join(f"{_quoted(one)} → {_quoted(other)}" for _, one, other in mapping[:_SHOWN])
    more = f" and {len(mapping) - _SHOWN} more" if len(mapping) > _SHOWN else ""
    how = f"{len(mapping)} categories are all {_quoted(next(iter(labels)))}" if len(labels) == 1 < len(mapping) else ""
    known = set(names.tolist())
    if not how:
        how = "categories are swapped" if labels <= known else "categories have other labels"
    return Pattern("category-encoding", explained / int(rows.sum()), f"{how} ({shown}{more})")


def _categorical(values: Values) -> bool:
    numbers = values.number[values.numeric]
    return bool((numbers == np.round(numbers)).all())


def _mostly(values: Values) -> str:
    tokens = Counter(values.tokens().tolist())
    (value, count), *_ = tokens.most_common(1)
    shown = _quoted(str(value))
    return shown if count == len(values) else (f"mostly {shown}" if count * 2 > len(values) else "various values")


def _means(text: str, number: float) -> bool:
    try:
        return bool(np.isclose(float(text), number, rtol=1e-6, atol=0))
    except ValueError:
        return text.strip().lower() in {"true", "false"} and number == float(text.strip().lower() == "true")


def _quoted(text: str) -> str:
    text = text if len(text) <= 30 else f"{text[:29]}…"
    return text if text.replace(".", "", 1).replace("-", "", 1).isdigit() else f'"{text}"'
