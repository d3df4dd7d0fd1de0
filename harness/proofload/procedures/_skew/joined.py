"""Two files: rows joined by their id and compared, or their distributions where nothing joins."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from proofload.analysis.feature_values import Values
from proofload.analysis.parity import compare
from proofload.analysis.skew_diagnosis import diagnose
from proofload.procedures import Evidence, Findings
from proofload.procedures._skew.drifting import judge_drift
from proofload.procedures._skew.following import following
from proofload.procedures._skew.parity import Compared, Feature, drawing, judge_features, worst
from proofload.procedures._skew.reading import read_well
from proofload.procedures._skew.tables import (
    REFERENCE,
    SERVING,
    Join,
    Side,
    entity_codes,
    feature_names,
    in_order_of_time,
    join,
    prediction_name,
    read_side,
    rows_of,
)
from proofload.procedures._skew.terms import Settings
from proofload.procedures._skew.words import (
    GUARDS,
    Flips,
    feature_checks,
    flips,
    headline,
    nothing_compared,
    schema_check,
)
from proofload.records import Check, Interval, Status
from proofload.verdict.causes import CAUSES
from proofload.verdict.skew import rule, rule_exactly
from proofload.verdict.skew_checks import check

_THINGS = "rows"
_AGES = 0.5
"""Of the rows; fewer that tell their age say little of the others."""
_BESIDE = frozenset({"missing rows", "duplicate rows", "schema", "freshness"})


def judge_files(evidence: Evidence, scenario: Settings) -> Findings:
    """Rows with an id on both sides are compared; where there is no key, or no id in common, it is drift."""
    if not all((evidence.path / name).exists() for name in (REFERENCE, SERVING)):
        return Findings.nothing(evidence)
    reference, serving = read_side(evidence.path / REFERENCE), read_side(evidence.path / SERVING)
    reference = _sorted(reference, scenario.timestamp)
    if scenario.key is None or reference.ids is None or serving.ids is None:
        return judge_drift(reference, serving, scenario, why="no key joins their rows")
    joined = join(reference.ids, serving.ids)
    if not len(joined.reference_row):
        return judge_drift(reference, serving, scenario, why=f"no {scenario.key} occurs in both")
    return _parity(reference, serving, joined, scenario)


def _parity(reference: Side, serving: Side, joined: Join, scenario: Settings) -> Findings:
    predicted = prediction_name(scenario.prediction, reference, serving)
    whom = scenario.entity if scenario.entity not in serving.columns else None  # known of training is enough
    left_out = [name for name in (predicted, scenario.schema_path, scenario.timestamp, whom) if name]
    names, lacking = feature_names(reference, serving, chosen=scenario.columns, left_out=left_out)
    entity = entity_codes(scenario.entity, reference, list(reference.columns))
    compared = Compared(
        reference={name: reference.columns[name] for name in names},
        serving=rows_of(serving.columns, names, joined.serving_row),
        row=joined.reference_row,
        unit=np.arange(len(joined.reference_row), dtype=np.int64),
        ids=(serving.ids if serving.ids is not None else np.empty(0, object))[joined.serving_row].tolist(),
        entity=None if entity is None else entity[1],
        instants=reference.instants & frozenset(names),
        unknown=_unknown(scenario, reference, known=entity is not None),
    )
    alpha = scenario.alpha_fail / (1 + GUARDS)
    features, _ = judge_features(
        compared, rtol=scenario.rtol, limit=scenario.mismatch_share, alpha_fail=alpha, alpha_pass=scenario.alpha_pass
    )
    checks: list[Check] = [*feature_checks(features, _THINGS)]
    turned: Flips | None = None
    if predicted is not None:
        check_of_it, turned = _predictions(reference, serving, joined, predicted, features=features, scenario=scenario)
        checks.append(check_of_it)
    if not checks:
        told = f"the two files have no feature in common but {scenario.key}, or none that has a value"
        checks.append(nothing_compared(told, "files with the same columns, beside the key"))
    checks += _ids(joined, scenario)
    hashes = _hashes(serving, scenario)
    fact = schema_check(lacking, hashes, scenario, asked=True)
    checks += [fact] if fact is not None else []
    if scenario.age is not None:
        ages = serving.columns.get(scenario.age)
        known = reference.columns.get(scenario.age)
        checks.append(no_age(scenario.age) if ages is None else freshness(ages, known, scenario))
    rows = f"{len(joined.reference_row):,} rows joined by {scenario.key}"
    said = [*headline(features, rows), *([turned.sentence()] if turned is not None else [])]
    beside = [f"{CAUSES[one.cause].meaning.capitalize()}: {one.evidence}." for one in checks if one.name in _BESIDE
              and one.status is Status.FAIL]  # fmt: skip
    said = [*said, *beside] if any(feature.failed for feature in features) else [*beside, *said]
    leader = worst(features)
    details: dict[str, Any] = {
        "mode": "files",
        "features": [feature.plain() for feature in features],
        "limit": scenario.mismatch_share,
        "rows": {
            "joined": len(joined.reference_row), "training": dict(reference.about), "serving": dict(serving.about),
            "missing": joined.missing, "unknown": joined.unknown,
            **{f"repeated_{side}": rows for side, rows in joined.repeated.items()},
        },
        "flips": None if turned is None else turned.plain(),
        "worst": {} if leader is None else drawing(leader, compared),
        "not_compared": sorted(set(serving.columns) - set(names) - set(left_out)),
        "entity": None if entity is None else entity[0],
    }  # fmt: skip
    return Findings((), tuple(checks), read_well(reference, serving), headline=tuple(said), details=details)


def _unknown(scenario: Settings, reference: Side, *, known: bool) -> str:
    """What an old value would be recognised by, and is not there."""
    named = [name for name in (scenario.entity, scenario.timestamp) if name and name not in reference.columns]
    if named:
        return f"an old value would not be recognised: training has no column {' and no '.join(named)}"
    lacking = [] if known else ["`entity`"]
    if scenario.timestamp is None and not reference.instants:
        lacking.append("`timestamp`")
    return f"an old value would be recognised only with {' and '.join(lacking)} set" if lacking else ""


def _predictions(
    reference: Side, serving: Side, joined: Join, name: str, *, features: list[Feature], scenario: Settings
) -> tuple[Check, Flips | None]:
    wanted = reference.columns[name].take(joined.reference_row)
    got = serving.columns[name].take(joined.serving_row)
    found = compare(wanted, got, scenario.prediction_rtol)
    told_ = ~(wanted.null & got.null)
    differs = found.any
    unit = np.arange(len(differs), dtype=np.int64)
    alpha = scenario.alpha_fail / (1 + GUARDS)
    ruling = rule(
        float(differs.sum()), int(told_.sum()), limit=scenario.mismatch_share, alpha_fail=alpha,
        alpha_pass=scenario.alpha_pass,
    )  # fmt: skip
    told = (
        f"{int(differs.sum()):,} of {int(told_.sum()):,} predictions differ by more than {scenario.prediction_rtol:g}"
    )
    cause = "prediction-mismatch"
    if differs.any():
        due = following(differs, features, unit)
        own = None if due is not None else diagnose(name, wanted, got, found)
        if due is not None:
            cause = due.cause
            told += f"; {due.says()}"
        elif own is not None and own.cause:
            told += f"; {own.says}"
    return check("prediction parity", ruling, told, cause=cause), flips(wanted.number, got.number, unit, scenario)


def _ids(joined: Join, scenario: Settings) -> list[Check]:
    lost = rule_exactly(joined.missing, joined.reference_ids, limit=scenario.missing_share)
    told = f"{joined.missing:,} of {joined.reference_ids:,} ids of training do not occur in serving"
    told += f"; {joined.unknown:,} of serving do not occur in training" if joined.unknown else ""
    rows = joined.serving_ids + joined.repeated["serving"]
    twice = rule_exactly(joined.repeated["serving"], rows, limit=scenario.duplicate_share)
    again = f"{joined.repeated['serving']:,} of {rows:,} rows of serving repeat an id"
    again += f"; {joined.repeated['training']:,} of training do" if joined.repeated["training"] else ""
    return [
        check("missing rows", lost, told, cause="missing-rows", things="ids"),
        check("duplicate rows", twice, again, cause="duplicate-rows"),
    ]


def freshness(serving: Values, reference: Values | None, scenario: Settings) -> Check:
    """The share of rows whose features are older than allowed."""
    ages = serving.number[serving.numeric]
    limit = float(scenario.max_age or 0.0)
    old = int((ages > limit).sum())
    ruling = rule_exactly(old, len(ages), limit=scenario.mismatch_share)
    if ruling.status is Status.PASS and len(ages) < _AGES * len(serving):
        ruling = replace(ruling, status=Status.INCONCLUSIVE, needs=math.ceil(_AGES * len(serving)))
    told = f"{old:,} of {len(ages):,} rows have features older than {limit:g} ({scenario.age})"
    if len(ages):
        told += f"; the median age is {np.median(ages):.4g} in serving"
    if reference is not None and reference.numeric.any():
        told += f", {np.median(reference.number[reference.numeric]):.4g} in training"
    return check("freshness", ruling, told, cause="staleness")


def no_age(name: str) -> Check:
    """Where how old the features are was asked, and nothing says it."""
    told = f"nothing says how old the features are: {name} is nowhere"
    settle = "answers, or a file, that carry it"
    return Check("freshness", Status.INCONCLUSIVE, None, None, "share", Interval(None, None), told, settle=settle)


def _hashes(serving: Side, scenario: Settings) -> list[str]:
    if scenario.schema_path is None or scenario.schema_path not in serving.columns:
        return []
    return sorted({str(token) for token in serving.columns[scenario.schema_path].tokens() if token is not None})


def _sorted(side: Side, timestamp: str | None) -> Side:
    order = in_order_of_time(side, timestamp)
    ids = None if side.ids is None else side.ids[order]
    return Side({name: values.take(order) for name, values in side.columns.items()}, ids, side.instants, side.about)
