"""Two tables whose rows do not join: the distribution of each feature, reference against serving."""

from __future__ import annotations

from typing import Any

import numpy as np

from proofload.analysis.drift import FEWEST, Drift, measure, significant
from proofload.analysis.drift_signs import sign
from proofload.procedures import Findings
from proofload.procedures._skew.reading import read_well
from proofload.procedures._skew.tables import Side, feature_names, prediction_name
from proofload.procedures._skew.terms import Settings
from proofload.procedures._skew.words import nothing_compared, schema_check
from proofload.records import Check, Interval, Status
from proofload.verdict.causes import CAUSES
from proofload.verdict.skew import rule_drift

_MOST_CHECKS = 20


def judge_drift(reference: Side, serving: Side, scenario: Settings, *, why: str) -> Findings:
    """One check for each feature that is not well, one over the others."""
    predicted = prediction_name(scenario.prediction, reference, serving)
    left_out = [name for name in (scenario.schema_path, scenario.timestamp, *reference.instants) if name]
    names, lacking = feature_names(reference, serving, chosen=scenario.columns, left_out=left_out)
    names = [name for name in names if not _is_id(reference, name)]
    constant = [name for name in names if _one_value(reference, serving, name)]
    names = [name for name in names if name not in constant]
    rng = np.random.default_rng([scenario.seed, 11])
    measured = [
        (name, found)
        for name in names
        if (found := measure(reference.columns[name], serving.columns[name], rng)) is not None
    ]
    drifts = significant([found.p_value for _, found in measured], scenario.alpha_fail) if measured else []
    each = scenario.alpha_fail / max(1, len(measured))
    checks: list[Check] = []
    rows: list[dict[str, Any]] = []
    for (name, found), real in zip(measured, drifts, strict=True):
        status, interval = rule_drift(
            found, significant=real, limit=scenario.drift_effect, alpha_fail=each, alpha_pass=scenario.alpha_pass
        )
        if min(found.effective) < FEWEST:
            interval = Interval(0.0, 1.0)  # how many rows they are worth is not known well enough for a narrower one
        cause, says = ("drift", "")
        if status is Status.FAIL:
            cause, says = sign(name, reference.columns[name], serving.columns[name])
        told = f"{found.measure} {found.effect:.3g}; PSI {found.psi:.3g} ({found.psi_by_chance:.2g} by chance alone)"
        checks.append(
            _check(
                name,
                found,
                status,
                interval,
                told=f"{told}. {says}".strip(),
                cause=cause,
                settle=_settle(status, found, (len(reference), len(serving))),
                scenario=scenario,
            )
        )
        rows.append(_plain(name, found, status, interval, cause=cause if status is Status.FAIL else "", says=says))
    fact = schema_check(lacking, [], scenario, asked=bool(lacking))
    checks = [*_summed_up(checks, scenario), *([fact] if fact is not None else [])]
    if not rows:
        told = f"no column varies that both files have (constant: {', '.join(constant[:8]) or 'none'})"
        checks.append(nothing_compared(told, "files with the same columns, or a key that joins their rows"))
    details = {
        "mode": "drift",
        "why": why,
        "drift": rows,
        "limit": scenario.drift_effect,
        "rows": {"training": dict(reference.about), "serving": dict(serving.about)},
        "prediction": predicted,
        "constant": constant,
    }
    return Findings(
        (),
        tuple(checks),
        read_well(reference, serving),
        headline=tuple(_headline(rows, scenario, why)),
        details=details,
    )


def _headline(rows: list[dict[str, Any]], scenario: Settings, why: str) -> list[str]:
    failed = sorted((row for row in rows if row["status"] == Status.FAIL), key=lambda row: -row["effect"])
    if failed:
        first = failed[0]
        what = f": {first['says']}" if first["says"] else ""
        more = f" {len(failed)} of {len(rows)} features have drifted." if len(failed) > 1 else ""
        meaning = CAUSES[first["cause"]].meaning
        how = f"{first['measure']} {first['effect']:.2g}"
        said = f"{first['name']} is distributed differently in serving ({how}): {meaning}{what}.{more}"
        return [said, f"Only distributions were compared, because {why}."]
    unsettled = [row for row in rows if row["status"] != Status.PASS]
    if not rows:
        return [f"Nothing could be compared: no column varies that both files have; {why}."]
    if unsettled:
        return [f"Whether {len(unsettled)} of {len(rows)} features have drifted is not settled by so few rows; {why}."]
    highest = max(row["high"] for row in rows)
    said = f"they differ by less than {highest:.2g}, {scenario.drift_effect:g} would matter"
    return [f"None of {len(rows)} features has drifted: {said}. Only distributions were compared, because {why}."]


def _summed_up(checks: list[Check], scenario: Settings) -> list[Check]:
    ill = sorted(
        (one for one in checks if one.status is not Status.PASS), key=lambda one: (one.status, -(one.observed or 0))
    )
    well = [one for one in checks if one.status is Status.PASS]
    summary = []
    if well:
        widest = max(well, key=lambda one: one.interval.high or 0.0)
        told = f"{len(well)} features; the widest bound is that of {widest.name.removeprefix('drift of ')}"
        summary = [Check("drift", Status.PASS, widest.observed, scenario.drift_effect, "", widest.interval, told)]
    return [*ill[:_MOST_CHECKS], *summary]


def _settle(status: Status, found: Drift, rows: tuple[int, int]) -> str:
    if status is not Status.INCONCLUSIVE:
        return ""
    if min(found.effective) >= FEWEST:
        return "more rows on both sides"
    sides = zip(rows, found.effective, ("training", "serving"), strict=True)
    worth = ", ".join(f"{have:,} of {side} are worth {worth:,.0f}" for have, worth, side in sides)
    why = ": rows that follow one another or hold the same value again count for less" if min(rows) >= FEWEST else ""
    return f"at least {FEWEST} independent rows on either side ({worth}{why})"


def _check(
    name: str,
    found: Drift,
    status: Status,
    interval: Interval,
    *,
    told: str,
    cause: str,
    settle: str,
    scenario: Settings,
) -> Check:
    return Check(
        f"drift of {name}", status, found.effect, scenario.drift_effect, "", interval, told, settle=settle,
        cause=cause if status is Status.FAIL else "",
    )  # fmt: skip


def _plain(name: str, found: Drift, status: Status, interval: Interval, *, cause: str, says: str) -> dict[str, Any]:
    return {
        "name": name, "status": str(status), "effect": found.effect, "measure": found.measure, "low": interval.low,
        "high": interval.high, "p_value": found.p_value, "psi": found.psi, "psi_by_chance": found.psi_by_chance,
        "divergence": found.divergence, "wasserstein": found.wasserstein, "chi_square_p": found.chi_square_p,
        "effective": list(found.effective), "cause": cause, "says": says,
    }  # fmt: skip


def _one_value(reference: Side, serving: Side, name: str) -> bool:
    """The same value in all rows of both sides agrees, but how many independent rows that is cannot be told."""
    seen = set(reference.columns[name].tokens().tolist()) | set(serving.columns[name].tokens().tolist())
    return len(seen) <= 1


def _is_id(reference: Side, name: str) -> bool:
    """A text that is another one in every row names rows and describes none."""
    values = reference.columns[name]
    tokens = values.text[values.text != ""]
    return len(tokens) > 0.5 * len(values) and len(set(tokens.tolist())) > 0.95 * len(tokens)
