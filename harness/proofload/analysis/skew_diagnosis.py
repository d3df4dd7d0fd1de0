"""What kind of error a feature's differences are: the patterns are tried, the best explanation is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from proofload.analysis import skew_encodings, skew_patterns
from proofload.analysis.feature_values import Values
from proofload.analysis.parity import Differences
from proofload.analysis.skew_patterns import Pattern

CONVINCING = 0.8
"""An explanation holds for at least this share of the rows it is about."""
WORTH_TELLING = 0.1
MOST_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How one feature differs. `cause` is empty where nothing is recognised."""

    cause: str
    says: str
    explains: float
    """Share of the differing rows that the cause explains."""
    follows: str = ""
    """The feature whose error this one is a consequence of."""


def diagnose(name: str, reference: Values, serving: Values, found: Differences) -> Diagnosis:
    """Of one feature whose values differ somewhere. Looks at no more than some thousand of the rows that do."""
    rows = found.any
    if rows.sum() > MOST_ROWS:
        kept = np.zeros(len(rows), np.bool_)
        kept[np.flatnonzero(rows)[:: int(rows.sum()) // MOST_ROWS + 1]] = True
        rows = kept
    candidates = _candidates(name, reference, serving, found, rows)
    if not candidates:
        return Diagnosis("", _unexplained(reference, serving, rows), 0.0)
    first = max(candidates, key=lambda pattern: pattern.share)
    beside = [pattern for pattern in candidates if pattern.cause != first.cause and pattern.share <= 1.02 - first.share]
    says = "; also: ".join([first.says, *(pattern.says for pattern in beside[:2])])
    return Diagnosis(first.cause, says, first.share)


def together(found: Mapping[str, Diagnosis], rows: Mapping[str, NDArray[np.bool_]]) -> dict[str, Diagnosis]:
    """A feature without a pattern of its own that differs where another one does, which has one, follows it: a ratio
    of an amount is wrong where the amount is."""
    settled = {name: one for name, one in found.items() if one.cause and one.explains >= CONVINCING and not one.follows}
    result = dict(found)
    for name, one in found.items():
        if name in settled or not settled:
            continue
        of_it = rows[name]
        shared = {leader: float((of_it & rows[leader]).sum()) / max(1, int(of_it.sum())) for leader in settled}
        leader = max(shared, key=lambda candidate: shared[candidate])
        if shared[leader] >= CONVINCING:
            lead = settled[leader]
            says = f"it differs where {leader} does, and follows from it"
            result[name] = replace(one, cause=lead.cause, says=says, explains=shared[leader], follows=leader)
    return result


def _candidates(
    name: str, reference: Values, serving: Values, found: Differences, rows: NDArray[np.bool_]
) -> list[Pattern]:
    """Explanations that hold in their own domain, in order of preference, each with its share of all `rows`."""
    total = int(rows.sum())
    kept: list[Pattern] = []
    nulls = skew_encodings.filled(reference, serving, found, rows)
    if nulls is not None and nulls.share >= WORTH_TELLING:
        kept.append(nulls)
    types = skew_encodings.retyped(reference, serving, found, rows)
    if types is not None and types.share >= CONVINCING * int((found.type & rows).sum()) / total:
        kept.append(types)
    present = rows & (found.value | found.type)
    count = int(present.sum())
    if not count or (types is not None and types in kept and count <= int((found.type & rows).sum())):
        return kept
    best = _of_values(name, reference, serving, present)
    if best is not None:
        kept.append(replace(best, share=best.share * count / total))
    return kept


def _of_values(name: str, reference: Values, serving: Values, rows: NDArray[np.bool_]) -> Pattern | None:
    numeric = rows & reference.numeric & serving.numeric
    wanted, got = reference.number[numeric], serving.number[numeric]
    tried: list[Pattern | None] = []
    if numeric.sum() >= 2:
        factor = skew_patterns.constant_factor(wanted, got)
        single = factor if factor is not None and "one of" not in factor.says else None
        hours = skew_patterns.whole_hours(wanted, got, name)
        tried += [single, hours]
    tried.append(skew_encodings.relabelled(reference, serving, rows))
    if numeric.sum() >= 2:
        tried += [
            skew_patterns.rounded(wanted, got),
            factor,
            skew_patterns.affine(wanted, got),
            skew_patterns.older(wanted, got, name),
        ]
    tried.append(skew_encodings.constant(reference, serving, rows))
    return next((pattern for pattern in tried if pattern is not None and pattern.share >= CONVINCING), None)


def _unexplained(reference: Values, serving: Values, rows: NDArray[np.bool_]) -> str:
    numeric = rows & reference.numeric & serving.numeric
    if not numeric.any():
        return "the values differ, and no pattern is recognised"
    wanted, got = reference.number[numeric], serving.number[numeric]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        off = float(np.median(np.abs(got - wanted) / np.maximum(np.abs(wanted), 1e-300)))
        smaller, larger = float((got < wanted).mean()), float((got > wanted).mean())
    aside = next((f", {way} in serving" for way, share in (("smaller", smaller), ("larger", larger)) if share == 1), "")
    return f"the values differ by {min(off, 1e6):.0%} in the median{aside}, and no pattern is recognised"
