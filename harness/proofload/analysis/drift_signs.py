"""Drift that looks like an error of a pipeline, seen in distributions alone: a cause and what was seen."""

from __future__ import annotations

from collections import Counter

import numpy as np

from proofload.analysis.feature_values import Kind, Values

_QUANTILES = np.linspace(0.05, 0.95, 19)
_EVEN = 0.1
"""Ratios of quantiles that vary by no more than this are one factor."""
_FACTOR_AT_LEAST = 1.5
_NEW = 0.05


def sign(name: str, reference: Values, serving: Values) -> tuple[str, str]:
    """("drift", "") where nothing more can be told."""
    del name
    return _filled(reference, serving) or _unknown(reference, serving) or _scaled(reference, serving) or ("drift", "")


def _filled(reference: Values, serving: Values) -> tuple[str, str] | None:
    """The missing ones of one side are one value's surplus on the other."""
    for lacks, has, where, there in (
        (serving, reference, "training", "serving"),
        (reference, serving, "serving", "training"),
    ):
        lost = float(has.null.mean()) - float(lacks.null.mean())
        if lost < _NEW:
            continue
        before, after = _shares(has), _shares(lacks)
        value, surplus = max(
            ((token, share - before.get(token, 0.0)) for token, share in after.items()), key=lambda item: item[1],
            default=("", 0.0),
        )  # fmt: skip
        if surplus >= 0.6 * lost:
            return "null-handling", f"{lost:.0%} more are missing in {where}; in {there} they seem to be {value}"
        return "null-handling", f"{lost:.0%} more are missing in {where}"
    return None


def _unknown(reference: Values, serving: Values) -> tuple[str, str] | None:
    if not ((reference.kind == Kind.TEXT).any() or (serving.kind == Kind.TEXT).any()):
        return None
    known = set(_shares(reference))
    new = {token: share for token, share in _shares(serving).items() if token not in known}
    share = sum(new.values())
    if share < _NEW:
        return None
    first = max(new, key=lambda token: new[token])
    return "category-encoding", f"{share:.0%} of serving has values that training never has, such as {first}"


def _scaled(reference: Values, serving: Values) -> tuple[str, str] | None:
    a, b = reference.number[reference.numeric], serving.number[serving.numeric]
    a, b = a[np.isfinite(a) & (a != 0)], b[np.isfinite(b) & (b != 0)]
    if len(a) < 50 or len(b) < 50:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.quantile(b, _QUANTILES) / np.quantile(a, _QUANTILES)
    ratio = ratio[np.isfinite(ratio)]
    if len(ratio) < 10 or (ratio <= 0).any():
        return None
    middle = float(np.median(ratio))
    uneven = float(np.median(np.abs(ratio / middle - 1)))
    if uneven < _EVEN and (middle > _FACTOR_AT_LEAST or middle < 1 / _FACTOR_AT_LEAST):
        return "unit", f"all its quantiles are about {middle:.3g} times training's"
    return None


def _shares(values: Values) -> dict[str, float]:
    counts = Counter(token for token in values.tokens().tolist() if token is not None)
    total = max(1, len(values))
    return {token: count / total for token, count in counts.most_common(1000)}
