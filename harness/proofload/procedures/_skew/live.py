"""A live target: the features and predictions that it answered, against the offline ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.feature_values import Values
from proofload.analysis.health import client_health
from proofload.analysis.summary import error_counts, summarise
from proofload.procedures import Circumstances, Evidence, Findings
from proofload.procedures._skew.answers import Answers, fates, features_in, read_answers, told
from proofload.procedures._skew.golden import Golden, judge_golden, of_predictions, user_numbers
from proofload.procedures._skew.joined import freshness, no_age
from proofload.procedures._skew.parity import Compared, Feature, drawing, judge_features, worst
from proofload.procedures._skew.replay import REQUESTS, Request, read_requests
from proofload.procedures._skew.tables import REFERENCE, feature_names, read_side
from proofload.procedures._skew.terms import Settings
from proofload.procedures._skew.words import GUARDS, feature_checks, headline, nothing_compared, schema_check
from proofload.records import Check, ClientHealth, Interval, Phase, PhaseSummary, Status, Validity
from proofload.verdict import validity as validity_rules
from proofload.verdict.skew import rule_exactly
from proofload.verdict.skew_checks import check

_ABOUT_CORRECTNESS = frozenset(
    {"conservation", "unsent", "client-ports", "client-fds", "interrupted", "no-data", "clock", "broker-backlog"}
)
"""Validity codes that matter where no time is judged: a late client gets the same answers."""
_SOMETHING = (
    "payloads with what is expected of them (`expect`), or the features as training computes them (`reference`, or "
    "features.jsonl beside the payloads)"
)
_ENOUGH = 0.5
_MOST_GIVEN_UP = 0.2
"""Of the payloads; overload is no skew, but what is never answered cannot be compared."""


@dataclass(frozen=True, slots=True)
class _Served:
    """What the features came to."""

    features: list[Feature]
    compared: Compared
    lacking: list[str]
    rows: NDArray[np.int64]
    """The answers that were compared."""
    untold: Check | None = None
    """Where hardly an answer told any."""


def judge_live(evidence: Evidence, scenario: Settings) -> Findings:
    """Feature parity where both sides tell features, the golden set where payloads expect something."""
    if not evidence.phases or not (evidence.path / REQUESTS).exists():
        return Findings.nothing(evidence)
    requests = read_requests(evidence.path)
    answers = read_answers(evidence, requests)
    around = Circumstances.of(evidence)
    phases, validity, client = _phases(evidence, scenario, around)
    served = _features(evidence, answers, requests, scenario)
    features = [] if served is None else served.features
    checks: list[Check] = [*feature_checks(features, "payloads")]
    none = np.empty(0, np.int64)
    rows = none if served is None else served.rows
    golden = judge_golden(evidence, answers, requests, scenario, features=features, rows=rows)
    if golden is not None:
        checks.append(golden.check)
    checks.append(_missing(evidence, requests, scenario))
    seen = [] if scenario.schema_path is None else told(answers, scenario.schema_path)
    if served is not None and served.untold is not None:
        checks.append(served.untold)
    elif not features and golden is None:
        checks.append(nothing_compared("no answer had a feature or a prediction to compare with", _SOMETHING))
    fact = schema_check([] if served is None else served.lacking, seen, scenario, asked=bool(features))
    checks += [fact] if fact is not None else []
    if scenario.age is not None:
        name = scenario.age
        known = served is not None and name in served.compared.serving
        checks.append(
            freshness(served.compared.serving[name], served.compared.reference.get(name), scenario)
            if served is not None and known
            else no_age(name)
        )
    leader = worst(features)
    details: dict[str, Any] = {
        "mode": "live" if features else "golden",
        "features": [feature.plain() for feature in features],
        "limit": scenario.mismatch_share,
        "answers": len(answers),
        "payloads": sum(request.twin_of < 0 for request in requests),
        "twins": sum(request.twin_of >= 0 for request in requests),
        "flips": None if golden is None or golden.flips is None else golden.flips.plain(),
        "golden": None if golden is None else golden.plain,
        "worst": {} if leader is None or served is None else drawing(leader, served.compared),
    }
    return Findings(
        phases, tuple(checks), validity, client, headline=tuple(_said(features, golden, answers, evidence)),
        details=details,
    )  # fmt: skip


def _features(evidence: Evidence, answers: Answers, requests: Sequence[Request], scenario: Settings) -> _Served | None:
    """None where there is no reference, or hardly an answer tells features."""
    if not (evidence.path / REFERENCE).exists():
        return None
    reference = read_side(evidence.path / REFERENCE)
    assert reference.ids is not None
    names, _ = feature_names(reference, reference, chosen=scenario.columns, left_out=[])
    columns, rows, lacking = features_in(answers, scenario.features, names)
    at = {str(name): row for row, name in reversed(list(enumerate(reference.ids.tolist())))}
    known = np.array([at.get(request.id, -1) if request.twin_of < 0 else -1 for request in requests], dtype=np.int64)
    row = known[answers.payload[rows]]
    kept = row >= 0
    asked = int((known[answers.payload] >= 0).sum())
    if not kept.any() or kept.sum() < _ENOUGH * asked:
        told_ = f"{int(kept.sum()):,} of {asked:,} answers tell features at {scenario.features}"
        nothing = Compared({}, {}, row[kept], row[kept], [])
        return _Served([], nothing, [], rows[kept], _untold(told_))
    whose = _entities(reference.ids, requests)
    compared = Compared(
        reference={name: reference.columns[name] for name in columns},
        serving={name: values.take(kept) for name, values in columns.items()},
        row=row[kept],
        unit=answers.payload[rows][kept],
        ids=[requests[payload].id for payload in answers.payload[rows][kept].tolist()],
        entity=whose,
        **_of_twins(columns, answers.payload[rows], requests),
        instants=reference.instants & frozenset(columns),
        unknown="an old value would be recognised only with a `user` in each payload" if whose is None else "",
    )
    features, _ = judge_features(
        compared, rtol=scenario.rtol, limit=scenario.mismatch_share, alpha_fail=scenario.alpha_fail / (1 + GUARDS),
        alpha_pass=scenario.alpha_pass,
    )  # fmt: skip
    return _Served(features, compared, lacking, rows[kept])


def _untold(told_: str) -> Check:
    return Check(
        "feature parity", Status.INCONCLUSIVE, None, None, "share", Interval(None, None), told_,
        settle="a server that tells the features it computed: name the request's member with `ask`, their place in "
        "the answer with `features`",
    )  # fmt: skip


def _of_twins(columns: Mapping[str, Values], payload: NDArray[np.int64], requests: Sequence[Request]) -> dict[str, Any]:
    """What the twins were answered, each once: a value kept too long may be of one of them."""
    twins = np.array([request.twin_of >= 0 for request in requests], dtype=np.bool_)
    _, first = np.unique(payload, return_index=True)
    rows = first[twins[payload[first]]]
    numbers = user_numbers(requests)
    whose = [numbers.get(requests[index].user or "", -1) for index in payload[rows].tolist()]
    return {
        "others": {name: values.take(rows) for name, values in columns.items()},
        "others_entity": np.array(whose, dtype=np.int64),
    }


def _entities(ids: NDArray[np.object_], requests: Sequence[Request]) -> NDArray[np.int64] | None:
    """Whom each reference row is about: the user of the payload with its id; a row that was not sent has none."""
    users = {request.id: request.user for request in requests if request.user is not None and request.twin_of < 0}
    if not users:
        return None
    numbers = user_numbers(requests)
    return np.array([numbers[users[name]] if name in users else -1 for name in ids.tolist()], dtype=np.int64)


def _missing(evidence: Evidence, requests: Sequence[Request], scenario: Settings) -> Check:
    """Payloads that only ever met errors. Those that were refused or timed out were not compared, and that is all."""
    twins = [index for index, request in enumerate(requests) if request.twin_of >= 0]
    fate = fates(evidence, twins, len(requests))
    ruling = rule_exactly(fate.failed, fate.sent, limit=scenario.missing_share)
    words = {number: text for (kind, number), text in evidence.names.items() if kind == "error"}
    kinds = [kind for phase in evidence.phases for kind in error_counts(evidence.samples(phase.index), words)]
    why = f"; most often: {max(kinds, key=lambda kind: kind.count).kind}" if fate.failed and kinds else ""
    told_ = f"{fate.failed:,} of {fate.sent:,} payloads never brought an answer but errors{why}"
    settle = ""
    if fate.given_up:
        told_ += f"; {fate.given_up:,} were refused or timed out"
        if ruling.status is Status.PASS and fate.given_up > _MOST_GIVEN_UP * fate.sent:
            settle = f"a rate that it keeps up with: --set rate_rps={scenario.rate_rps / 2:g}"
            ruling = replace(ruling, status=Status.INCONCLUSIVE)
    made = check("missing rows", ruling, told_, cause="missing-rows", things="payloads")
    return replace(made, settle=settle) if settle else made


def _phases(
    evidence: Evidence, scenario: Settings, around: Circumstances
) -> tuple[tuple[PhaseSummary, ...], tuple[Validity, ...], ClientHealth | None]:
    summaries: list[PhaseSummary] = []
    judged: dict[str, tuple[Validity, ...]] = {}
    health: ClientHealth | None = None
    for phase in evidence.phases:
        summary, items, health = _phase(phase, evidence, scenario, around)
        summaries.append(summary)
        judged[phase.name] = tuple(item for item in items if item.code in _ABOUT_CORRECTNESS)
    return tuple(summaries), validity_rules.merged(judged), health


def _phase(
    phase: Phase, evidence: Evidence, scenario: Settings, around: Circumstances
) -> tuple[PhaseSummary, tuple[Validity, ...], ClientHealth]:
    samples = evidence.samples(phase.index)
    summary = summarise(phase, samples, timeout_s=scenario.timeout_s)
    health = client_health(samples, around.worker_stats)
    own = {kind.kind: kind.count for kind in error_counts(samples, around.names)}
    items = validity_rules.judge(
        validity_rules.Evidence(
            phase=phase,
            samples=samples,
            health=health,
            duration_s=summary.duration_s,
            worker_stats=around.worker_stats,
            client_errors=own,
            shared_cores=around.shared_cores,
        )
    )
    return summary, items, health


def _said(features: Sequence[Feature], golden: Golden | None, answers: Answers, evidence: Evidence) -> list[str]:
    name = str(evidence.run["target"].get("name", "the target"))
    payloads = max((feature.ruling.n for feature in features), default=0)
    said = [*headline(features, f"{payloads:,} payloads, {len(answers):,} answers")] if features else []
    if golden is not None and golden.plain["of"]:
        told_ = of_predictions(name, golden)
        said = [told_, *said] if golden.check.status is Status.FAIL and worst(features) is None else [*said, told_]
        if golden.flips is not None and golden.plain["wrong"]:
            said.append(golden.flips.sentence())
    return [sentence for sentence in said if sentence] or [f"{name} brought no answer that could be compared."]
