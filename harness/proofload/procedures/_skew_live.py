"""A live target: the features and predictions that it answered, against the offline ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from proofload.analysis.feature_values import Values
from proofload.analysis.health import client_health
from proofload.analysis.summary import error_counts, summarise
from proofload.analysis.swapped import Answered, Traced, permutations, trace
from proofload.engine.answers import MISSING
from proofload.procedures import Circumstances, Evidence, Findings
from proofload.procedures._skew_answers import Answers, answered_share, as_numbers, features_in, read_answers, told
from proofload.procedures._skew_joined import freshness
from proofload.procedures._skew_parity import Compared, Feature, drawing, judge_features, worst
from proofload.procedures._skew_replay import REQUESTS, Request, numbers_in, read_requests
from proofload.procedures._skew_tables import REFERENCE, feature_names, read_side
from proofload.procedures._skew_terms import SINGLY, Settings
from proofload.procedures._skew_words import GUARDS, Flips, feature_checks, flips, headline, schema_check
from proofload.records import Check, ClientHealth, Phase, PhaseSummary, Status, Validity
from proofload.verdict import validity as validity_rules
from proofload.verdict.causes import CAUSES
from proofload.verdict.skew import Ruling, rule
from proofload.verdict.skew_checks import check, percent

_ABOUT_CORRECTNESS = frozenset(
    {"conservation", "unsent", "client-ports", "client-fds", "interrupted", "no-data", "clock", "broker-backlog"}
)
"""Validity codes that matter where no time is judged: a late client gets the same answers."""
_ENOUGH = 0.5
_RARE = 1e-3


@dataclass(frozen=True, slots=True)
class _Served:
    """What the features came to."""

    features: list[Feature]
    compared: Compared
    lacking: list[str]
    rows: NDArray[np.int64]
    """The answers that were compared."""
    age: Any = None


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
    golden = _golden(evidence, answers, requests, features, served, scenario)
    if golden is not None:
        checks.append(golden.check)
    checks.append(_missing(evidence, requests, scenario))
    seen = [] if scenario.schema_path is None else told(answers, scenario.schema_path)
    fact = schema_check([] if served is None else served.lacking, seen, scenario, asked=served is not None)
    checks += [fact] if fact is not None else []
    if served is not None and scenario.age is not None and scenario.age in served.compared.serving:
        name = scenario.age
        checks.append(freshness(served.compared.serving[name], served.compared.reference.get(name), scenario))
    leader = worst(features)
    details: dict[str, Any] = {
        "mode": "golden" if served is None else "live",
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
        return _Served([], Compared({}, {}, row[kept], row[kept], []), list(names), rows[kept])
    compared = Compared(
        reference={name: reference.columns[name] for name in columns},
        serving={name: values.take(kept) for name, values in columns.items()},
        row=row[kept],
        unit=answers.payload[rows][kept],
        ids=[requests[payload].id for payload in answers.payload[rows][kept].tolist()],
        entity=_entities(reference.ids, requests),
        **_of_twins(columns, answers.payload[rows], requests),
        instants=reference.instants & frozenset(columns),
    )
    features, _ = judge_features(
        compared, rtol=scenario.rtol, limit=scenario.mismatch_share, alpha_fail=scenario.alpha_fail / (1 + GUARDS),
        alpha_pass=scenario.alpha_pass,
    )  # fmt: skip
    return _Served(features, compared, lacking, rows[kept])


def _of_twins(columns: Mapping[str, Values], payload: NDArray[np.int64], requests: Sequence[Request]) -> dict[str, Any]:
    """What the twins were answered, each once: a value kept too long may be of one of them."""
    twins = np.array([request.twin_of >= 0 for request in requests], dtype=np.bool_)
    _, first = np.unique(payload, return_index=True)
    rows = first[twins[payload[first]]]
    numbers = _user_numbers(requests)
    whose = [numbers.get(requests[index].user or "", -1) for index in payload[rows].tolist()]
    return {
        "others": {name: values.take(rows) for name, values in columns.items()},
        "others_entity": np.array(whose, dtype=np.int64),
    }


def _user_numbers(requests: Sequence[Request]) -> dict[str, int]:
    users = (request.user for request in requests if request.user is not None)
    return {user: number for number, user in enumerate(dict.fromkeys(users))}


def _entities(ids: NDArray[np.object_], requests: Sequence[Request]) -> NDArray[np.int64] | None:
    """Whom each reference row is about: the user of the payload with its id; a row that was not sent has none."""
    users = {request.id: request.user for request in requests if request.user is not None and request.twin_of < 0}
    if not users:
        return None
    numbers = _user_numbers(requests)
    return np.array([numbers[users[name]] if name in users else -1 for name in ids.tolist()], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Golden:
    check: Check
    flips: Flips | None
    plain: dict[str, Any]
    cause: str


def _golden(
    evidence: Evidence, answers: Answers, requests: Sequence[Request], features: Sequence[Feature],
    served: _Served | None, scenario: Settings,
) -> _Golden | None:  # fmt: skip
    """None where no payload says what is expected."""
    expects = np.array([request.has_expectation for request in requests], dtype=np.bool_)
    if not expects.any():
        return None
    judged = expects[answers.payload] if len(answers) else np.zeros(0, np.bool_)
    wrong = answers.wrong & judged
    expected = [request.expect if request.has_expectation else MISSING for request in requests]
    numbers = as_numbers([*expected, *answers.predictions])
    wanted, got = numbers[: len(expected)], numbers[len(expected) :]
    rtol = float(evidence.run["target"].get("response", {}).get("rtol", 1e-4))
    usual = _usual(answers.payload, got, len(requests))
    found = trace(
        Answered(answers.payload, answers.begin_ns, answers.end_ns, wrong, got),
        np.where(expects, wanted, usual),
        _same_values(requests),
        users=_users(requests),
        rtol=rtol,
        ids=[request.id for request in requests],
    )
    cause, why = _cause(wrong, judged, found, answers, evidence, features, served)
    ruling = _ruling(wrong, judged, answers.payload, found, features, scenario)
    told_ = f"{int(wrong.sum()):,} of {int(judged.sum()):,} predictions differ from the expected ones"
    turned = flips(wanted[answers.payload[judged]], got[judged], answers.payload[judged], scenario)
    plain = {
        "wrong": int(wrong.sum()), "of": int(judged.sum()), "traced": found.wrong, "in_flight": found.in_flight,
        "in_flight_by_chance": found.in_flight_by_chance, "permuted": found.permuted, "same_user": found.same_user,
        "elsewhere": found.elsewhere, "examples": list(found.examples), "cause": cause, "says": why,
    }  # fmt: skip
    one = check("predictions", ruling, f"{told_}{f'; {why}' if why else ''}", cause=cause, things="answers")
    return _Golden(one, turned, plain, cause if wrong.any() else "")


def _ruling(
    wrong: NDArray[np.bool_], judged: NDArray[np.bool_], payload: NDArray[np.int64], found: Traced,
    features: Sequence[Feature], scenario: Settings,
) -> Ruling:  # fmt: skip
    """None may be wrong where nothing else is compared, and none may be somebody else's."""
    alpha = scenario.alpha_fail / (1 + GUARDS)
    limit = scenario.wrong_share
    if limit is None:
        limit = scenario.mismatch_share if features else 0.0
    strayed = found.in_flight >= 2 and float(stats.poisson.sf(found.in_flight - 1, found.in_flight_by_chance)) < alpha
    if limit <= 0 or strayed or found.permuted >= 2:
        return rule(float(wrong.sum()), int(judged.sum()), limit=0.0, alpha_fail=alpha, alpha_pass=scenario.alpha_pass)
    seen = np.bincount(payload[judged])
    bad = np.bincount(payload[wrong], minlength=len(seen))
    present = seen > 0
    return rule(
        float((bad[present] / seen[present]).sum()), int(present.sum()), limit=limit, alpha_fail=alpha,
        alpha_pass=scenario.alpha_pass,
    )  # fmt: skip


def _usual(payload: NDArray[np.int64], got: NDArray[np.float64], payloads: int) -> NDArray[np.float64]:
    """What each payload is answered most often (the median answer); NaN where it brought none."""
    usual = np.full(payloads, np.nan)
    known = np.isfinite(got)
    order = np.argsort(payload[known], kind="stable")
    whose, values = payload[known][order], got[known][order]
    for part in np.split(np.arange(len(whose)), np.flatnonzero(np.diff(whose)) + 1):
        if len(part):
            ranked = np.sort(values[part])
            usual[whose[part[0]]] = ranked[(len(ranked) - 1) // 2]
    return usual


def _cause(
    wrong: NDArray[np.bool_], judged: NDArray[np.bool_], found: Traced, answers: Answers, evidence: Evidence,
    features: Sequence[Feature], served: _Served | None,
) -> tuple[str, str]:  # fmt: skip
    """What wrong answers are due to, and in words what speaks for it."""
    if not wrong.any():
        return "", ""
    example = f" ({found.examples[0]})" if found.examples else ""
    leader = worst(features)
    if served is not None and leader is not None:
        differs = np.zeros(len(wrong), np.bool_)
        for feature in features:
            differs[served.rows[feature.differs]] = True
        follows = float((wrong & differs).sum() / wrong.sum())
        if follows >= 0.9:
            return leader.diagnosis.cause or "prediction-mismatch", f"{follows:.0%} of them where features differ"
    total = max(1, found.wrong)
    if found.permuted >= max(2, 0.5 * total):
        why = f"{found.permuted:,} of {found.wrong:,} are the answer to the same values in another order{example}"
        return "cache-key-collision", why
    if found.in_flight >= max(2, 0.5 * total) and found.in_flight > 3 * found.in_flight_by_chance:
        why = f"{found.in_flight:,} of {found.wrong:,} are the right answer of a request in flight with it{example}"
        return "cross-talk", why
    if found.same_user >= max(2, 0.5 * total):
        return "staleness", f"{found.same_user:,} of {found.wrong:,} are the right answer to another event of that user"
    if _only_together(wrong, judged, answers, evidence):
        return "cross-talk", "they are wrong in company only: the same requests are answered rightly one by one"
    if found.permuted >= 2:
        why = f"{found.permuted:,} of {found.wrong:,} are the answer to the same values in another order{example}"
        return "cache-key-collision", why
    return "prediction-mismatch", ""


def _only_together(wrong: NDArray[np.bool_], judged: NDArray[np.bool_], answers: Answers, evidence: Evidence) -> bool:
    """Whether answers are wrong under concurrency and right without it (Fisher's exact test)."""
    alone = np.isin(answers.phase, [phase.index for phase in evidence.phases if phase.name == SINGLY])
    table = [
        [int((wrong & where).sum()), int((judged & ~wrong & where).sum())]
        for where in (~alone & judged, alone & judged)
    ]
    return table[1][0] == 0 and float(stats.fisher_exact(table, alternative="greater").pvalue) < _RARE


def _missing(evidence: Evidence, requests: Sequence[Request], scenario: Settings) -> Check:
    twins = [index for index, request in enumerate(requests) if request.twin_of >= 0]
    sent, lost = answered_share(evidence, twins, len(requests))
    ruling = rule(
        lost, sent, limit=scenario.missing_share, alpha_fail=scenario.alpha_fail / (1 + GUARDS),
        alpha_pass=scenario.alpha_pass,
    )  # fmt: skip
    words = {number: text for (kind, number), text in evidence.names.items() if kind == "error"}
    kinds = [kind for phase in evidence.phases for kind in error_counts(evidence.samples(phase.index), words)]
    why = f"; most often: {max(kinds, key=lambda kind: kind.count).kind}" if lost and kinds else ""
    told_ = f"{lost:,} of {sent:,} payloads never brought an answer{why}"
    return check("missing rows", ruling, told_, cause="missing-rows", things="payloads")


def _same_values(requests: Sequence[Request]) -> dict[int, list[int]]:
    """Requests that hold the same numbers in another order: made so, or so by themselves."""
    found = permutations([numbers_in(request.body) for request in requests])
    for index, request in enumerate(requests):
        if request.twin_of >= 0:
            found.setdefault(request.twin_of, []).append(index)
            found.setdefault(index, []).append(request.twin_of)
    return found


def _users(requests: Sequence[Request]) -> NDArray[np.int64]:
    numbers = _user_numbers(requests)
    return np.array([numbers.get(request.user or "", -1) for request in requests], dtype=np.int64)


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


def _said(features: Sequence[Feature], golden: _Golden | None, answers: Answers, evidence: Evidence) -> list[str]:
    name = str(evidence.run["target"].get("name", "the target"))
    payloads = max((feature.ruling.n for feature in features), default=0)
    said = [*headline(features, f"{payloads:,} payloads, {len(answers):,} answers")] if features else []
    if golden is not None and golden.plain["of"]:
        told_ = _of_predictions(name, golden, worst(features))
        said = [told_, *said] if golden.check.status is Status.FAIL and worst(features) is None else [*said, told_]
        if golden.flips is not None and golden.plain["wrong"]:
            said.append(golden.flips.sentence())
    return [sentence for sentence in said if sentence] or [f"{name} brought no answer that could be compared."]


def _of_predictions(name: str, golden: _Golden, leader: Feature | None) -> str:
    wrong, of = golden.plain["wrong"], golden.plain["of"]
    if not wrong:
        return f"All {of:,} predictions are as expected, singly and in bursts."
    share = f"{percent(wrong / of)} of {of:,} predictions"
    if golden.check.status is not Status.FAIL:
        return f"{share} differ from the expected ones, within what may."
    if leader is not None and golden.cause == leader.diagnosis.cause:
        return f"{share} are wrong for it."
    meaning = CAUSES[golden.cause].meaning if golden.cause in CAUSES else "the cause is not recognised"
    return f"{name}: {share} are wrong: {meaning}{'; ' + golden.plain['says'] if golden.plain['says'] else ''}."
