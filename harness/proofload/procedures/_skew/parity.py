"""Features of joined rows, judged one by one, and the kind of error told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.feature_values import Kind, Values
from proofload.analysis.parity import Differences, compare, strata
from proofload.analysis.skew_diagnosis import CONVINCING, Diagnosis, diagnose, together
from proofload.analysis.skew_rows import Joined, Misplaced, misplaced
from proofload.analysis.skew_staleness import Stale
from proofload.records import Status
from proofload.verdict.skew import Ruling, rule_feature

_EXAMPLES = 3
_SCATTER = 400


@dataclass(frozen=True, slots=True)
class Compared:
    """Rows of both sides, joined. `row`: of each serving row, its reference row; `unit`: the event it is of."""

    reference: Mapping[str, Values]
    serving: Mapping[str, Values]
    row: NDArray[np.int64]
    unit: NDArray[np.int64]
    ids: Sequence[str]
    entity: NDArray[np.int64] | None = None
    others: Mapping[str, Values] | None = None
    """Further rows that serving has, which are compared with nothing, and whom they are about."""
    others_entity: NDArray[np.int64] | None = None
    instants: frozenset[str] = frozenset()
    """Columns of instants: a log may have its own, so only a shift by whole hours counts against them."""
    unknown: str = ""
    """What is not known of the rows, and what an old value would be recognised by; empty: nothing is missing."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature's verdict."""

    name: str
    ruling: Ruling
    rows: int
    differs: NDArray[np.bool_]
    counts: Mapping[str, int]
    diagnosis: Diagnosis
    examples: tuple[tuple[str, str, str], ...]
    """(id, training, serving)"""

    @property
    def failed(self) -> bool:
        return self.ruling.status is Status.FAIL

    def plain(self) -> dict[str, Any]:
        """For result.json."""
        ruling = self.ruling
        return {
            "name": self.name,
            "status": str(ruling.status),
            "rows": self.rows,
            "events": ruling.n,
            "share": ruling.share,
            "low": ruling.interval.low,
            "high": ruling.interval.high,
            "where": ruling.where,
            **self.counts,
            "cause": self.diagnosis.cause,
            "says": self.diagnosis.says,
            "explains": self.diagnosis.explains,
            "follows": self.diagnosis.follows,
            "examples": [list(example) for example in self.examples],
        }


def judge_features(
    compared: Compared, *, rtol: float, limit: float, alpha_fail: float, alpha_pass: float
) -> tuple[list[Feature], Misplaced | None]:
    """`alpha_fail` is for all of them together. The second: what is known of rows that belong elsewhere."""
    found: dict[str, Differences] = {}
    sides: dict[str, tuple[Values, Values]] = {}
    for name in compared.reference:
        wanted = compared.reference[name].take(compared.row)
        got = compared.serving[name]
        if wanted.null.all() and got.null.all():
            continue  # nothing was there to be compared
        sides[name] = (wanted, got)
        found[name] = compare(wanted, got, rtol)
    causes = {name: diagnose(name, *sides[name], differs) for name, differs in found.items() if differs.any.any()}
    for name in compared.instants & set(causes):
        if causes[name].cause != "timezone":
            del causes[name], found[name], sides[name]  # another instant, of which nothing can be said
    bad = {name: found[name].any for name in causes}
    elsewhere = None
    if bad:
        joined = _all_that_is_known(compared, bad, rtol)
        elsewhere = misplaced(joined) if joined.bad else None
        causes = _settled(causes, bad, elsewhere, compared)
    each = alpha_fail / max(1, len(found))
    features = []
    for name, (wanted, got) in sides.items():
        differs = found[name].any
        ruling = rule_feature(
            differs, compared.unit, strata(wanted), limit=limit, alpha_fail=each, alpha_pass=alpha_pass
        )
        counts = {
            "null": int(found[name].null.sum()), "type": int(found[name].type.sum()),
            "value": int(found[name].value.sum()),
        }  # fmt: skip
        told = causes.get(name, Diagnosis("", "", 0.0))
        shown = _examples(compared.ids, wanted, got, differs)
        features.append(Feature(name, ruling, len(differs), differs, counts, told, shown))
    return features, elsewhere


def _all_that_is_known(compared: Compared, bad: Mapping[str, NDArray[np.bool_]], rtol: float) -> Joined:
    """Rows that a misplaced value may come from: training's, and what serving has besides."""
    names = [name for name in compared.reference if name not in compared.instants]
    reference = {name: compared.reference[name] for name in names}
    entity = compared.entity
    if compared.others is not None and compared.others_entity is not None and entity is not None:
        reference = {name: values.then(compared.others[name]) for name, values in reference.items()}
        entity = np.concatenate([entity, compared.others_entity])
    served = {name: compared.serving[name] for name in names}
    return Joined(
        reference, served, compared.row, {name: rows for name, rows in bad.items() if name in reference}, entity, rtol
    )


def worst(features: Sequence[Feature]) -> Feature | None:
    """The failed feature that tells most: one with an error of its own, the one that differs most often."""
    failed = [feature for feature in features if feature.failed]

    def weight(feature: Feature) -> tuple[bool, bool, float]:
        own = bool(feature.diagnosis.cause) and not feature.diagnosis.follows
        return own, feature.diagnosis.explains >= CONVINCING, float(feature.differs.mean())

    return max(failed, key=weight, default=None)


def drawing(feature: Feature, compared: Compared) -> dict[str, Any]:
    """What the picture of one feature needs: pairs of numbers, at most some hundred, evenly chosen."""
    wanted = compared.reference[feature.name].take(compared.row)
    got = compared.serving[feature.name]
    both = np.flatnonzero(wanted.numeric & got.numeric & np.isfinite(wanted.number) & np.isfinite(got.number))
    if len(both) < 10:
        return {}
    kept = both[:: max(1, len(both) // _SCATTER)]
    return {
        "name": feature.name,
        "training": wanted.number[kept].tolist(),
        "serving": got.number[kept].tolist(),
        "differs": feature.differs[kept].tolist(),
    }


def _settled(
    causes: Mapping[str, Diagnosis],
    bad: Mapping[str, NDArray[np.bool_]],
    elsewhere: Misplaced | None,
    compared: Compared,
) -> dict[str, Diagnosis]:
    """Rows that are somebody else's explain all their features at once; else each feature has its own error, and
    those without one follow another."""
    whose = compared.entity is not None
    if elsewhere is not None and elsewhere.tested:
        stale = elsewhere.stale
        if stale.convincing and elsewhere.foreign < stale.share:
            says = (
                f"serving has the values of {_earlier(stale, whose=whose)} in {stale.share:.0%} of the rows that differ"
            )
            return _unless_told_better(causes, Diagnosis("staleness", says, stale.share))
        if elsewhere.foreign >= CONVINCING:
            says = f"serving has all values of another row in {elsewhere.foreign:.0%} of the rows that differ"
            return _unless_told_better(causes, Diagnosis("cross-talk", says, elsewhere.foreign))
        causes = {name: _stale_or(one, elsewhere.stale_features.get(name), whose=whose) for name, one in causes.items()}
    if compared.unknown:
        causes = {
            name: one if one.cause else replace(one, says=f"{one.says} ({compared.unknown})")
            for name, one in causes.items()
        }
    return together(causes, bad)


def _stale_or(one: Diagnosis, stale: Stale | None, *, whose: bool) -> Diagnosis:
    if stale is None or one.explains > stale.share:
        return one
    says = f"serving has the value of {_earlier(stale, whose=whose)} in {stale.share:.0%} of the rows that differ"
    return Diagnosis("staleness", says, stale.share)


def _earlier(stale: Stale, *, whose: bool) -> str:
    if not stale.lag:
        return "another event of the same entity"
    before = "the event before" if stale.lag == 1 else f"{stale.lag} events before"
    return f"{before}, of the same entity," if whose else before.replace("event", "row")


def _unless_told_better(causes: Mapping[str, Diagnosis], common: Diagnosis) -> dict[str, Diagnosis]:
    """One unit error or rounding that holds for a feature throughout is no accident of swapped rows."""
    kept = {"unit", "rounding", "category-encoding", "type"}
    return {
        name: one if one.cause in kept and one.explains >= 0.98 and one.explains > common.explains else common
        for name, one in causes.items()
    }


def _examples(
    ids: Sequence[str], wanted: Values, got: Values, differs: NDArray[np.bool_]
) -> tuple[tuple[str, str, str], ...]:
    rows = np.flatnonzero(differs)
    chosen = rows[:: max(1, len(rows) // _EXAMPLES)][:_EXAMPLES]
    return tuple((str(ids[row]), _shown(wanted, row), _shown(got, row)) for row in chosen.tolist())


def _shown(values: Values, row: int) -> str:
    match values.kind[row]:
        case Kind.NULL:
            return "missing"
        case Kind.TEXT:
            return f'"{values.text[row]}"'
        case Kind.FLAG:
            return "true" if values.number[row] else "false"
        case _:
            return f"{values.number[row]:.9g}"
