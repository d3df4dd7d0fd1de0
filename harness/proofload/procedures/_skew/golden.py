"""The golden set: predictions against the expected ones, and whose answers the wrong ones are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from proofload.analysis.swapped import Answered, Traced, permutations, trace
from proofload.engine.answers import MISSING
from proofload.procedures import Evidence
from proofload.procedures._skew.answers import Answers, as_numbers
from proofload.procedures._skew.following import Following, following
from proofload.procedures._skew.parity import Feature
from proofload.procedures._skew.replay import Request, numbers_in
from proofload.procedures._skew.terms import TOGETHER, Settings
from proofload.procedures._skew.words import GUARDS, Flips, flips
from proofload.records import Check, Status
from proofload.verdict.causes import CAUSES
from proofload.verdict.skew import Ruling, rule
from proofload.verdict.skew_checks import check, percent

_RARE = 1e-3


@dataclass(frozen=True, slots=True)
class Golden:
    check: Check
    flips: Flips | None
    plain: dict[str, Any]
    cause: str
    """Empty where none is wrong, and where it follows from a feature whose error is not recognised."""
    due: Following | None
    """From which features the wrong ones follow."""


def judge_golden(
    evidence: Evidence,
    answers: Answers,
    requests: Sequence[Request],
    scenario: Settings,
    *,
    features: Sequence[Feature],
    rows: NDArray[np.int64],
) -> Golden | None:
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
    alone = np.isin(answers.phase, [phase.index for phase in evidence.phases if phase.name != TOGETHER])
    due = following(wrong, features, rows)
    cause, why = _cause(wrong, judged, found, alone=alone, due=due)
    ruling = _ruling(wrong, judged, answers.payload, found, scenario, features=bool(features))
    told_ = f"{int(wrong.sum()):,} of {int(judged.sum()):,} predictions differ from the expected ones"
    turned = flips(wanted[answers.payload[judged]], got[judged], answers.payload[judged], scenario)
    plain = {
        "wrong": int(wrong.sum()), "of": int(judged.sum()), "payloads": len(np.unique(answers.payload[judged])),
        "traced": found.wrong, "in_flight": found.in_flight,
        "in_flight_by_chance": found.in_flight_by_chance, "permuted": found.permuted, "same_user": found.same_user,
        "elsewhere": found.elsewhere, "examples": list(found.examples), "cause": cause, "says": why,
    }  # fmt: skip
    one = check("predictions", ruling, f"{told_}{f'; {why}' if why else ''}", cause=cause, things="payloads")
    return Golden(one, turned, plain, cause, due)


def _ruling(
    wrong: NDArray[np.bool_],
    judged: NDArray[np.bool_],
    payload: NDArray[np.int64],
    found: Traced,
    scenario: Settings,
    *,
    features: bool,
) -> Ruling:
    """None may be wrong where nothing else is compared, and none may be somebody else's. A pass takes as many payloads
    as bound the share that is wrong by `mismatch_share`, however often each was answered."""
    alpha = scenario.alpha_fail / (1 + GUARDS)
    limit = scenario.wrong_share
    if limit is None:
        limit = scenario.mismatch_share if features else 0.0
    strayed = found.in_flight >= 2 and float(stats.poisson.sf(found.in_flight - 1, found.in_flight_by_chance)) < alpha
    if wrong.any() and (limit <= 0 or strayed or found.permuted >= 2):
        return rule(float(wrong.sum()), int(judged.sum()), limit=0.0, alpha_fail=alpha, alpha_pass=scenario.alpha_pass)
    seen = np.bincount(payload[judged])
    bad = np.bincount(payload[wrong], minlength=len(seen))
    present = seen > 0
    ruling = rule(
        float((bad[present] / seen[present]).sum()), int(present.sum()), limit=limit or scenario.mismatch_share,
        alpha_fail=alpha, alpha_pass=scenario.alpha_pass,
    )  # fmt: skip
    return replace(ruling, limit=limit)


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
    wrong: NDArray[np.bool_],
    judged: NDArray[np.bool_],
    found: Traced,
    *,
    alone: NDArray[np.bool_],
    due: Following | None,
) -> tuple[str, str]:
    """What wrong answers are due to, and in words what speaks for it."""
    if not wrong.any():
        return "", ""
    example = f" ({found.examples[0]})" if found.examples else ""
    if due is not None:
        return due.cause, due.says()
    total = max(1, found.wrong)
    if found.permuted >= max(2, 0.5 * total):
        why = f"{found.permuted:,} of {found.wrong:,} are the answer to the same values in another order{example}"
        return "cache-key-collision", why
    if found.in_flight >= max(2, 0.5 * total) and found.in_flight > 3 * found.in_flight_by_chance:
        why = f"{found.in_flight:,} of {found.wrong:,} are the right answer of a request in flight with it{example}"
        return "cross-talk", why
    if found.same_user >= max(2, 0.5 * total):
        return "staleness", f"{found.same_user:,} of {found.wrong:,} are the right answer to another event of that user"
    if _only_together(wrong, judged, alone):
        return "cross-talk", "they are wrong in company only: the same requests are answered rightly one by one"
    if found.permuted >= 2:
        why = f"{found.permuted:,} of {found.wrong:,} are the answer to the same values in another order{example}"
        return "cache-key-collision", why
    return "prediction-mismatch", ""


def _only_together(wrong: NDArray[np.bool_], judged: NDArray[np.bool_], alone: NDArray[np.bool_]) -> bool:
    """Whether answers are wrong under concurrency and right without it (Fisher's exact test)."""
    counts = [
        [int((wrong & where).sum()), int((judged & ~wrong & where).sum())]
        for where in (~alone & judged, alone & judged)
    ]
    p_value = float(stats.fisher_exact(np.array(counts), alternative="greater").pvalue)
    return counts[1][0] == 0 and p_value < _RARE


def _same_values(requests: Sequence[Request]) -> dict[int, list[int]]:
    """Requests that hold the same numbers in another order: made so, or so by themselves."""
    found = permutations([numbers_in(request.body) for request in requests])
    for index, request in enumerate(requests):
        if request.twin_of >= 0:
            found.setdefault(request.twin_of, []).append(index)
            found.setdefault(index, []).append(request.twin_of)
    return found


def _users(requests: Sequence[Request]) -> NDArray[np.int64]:
    numbers = user_numbers(requests)
    return np.array([numbers.get(request.user or "", -1) for request in requests], dtype=np.int64)


def user_numbers(requests: Sequence[Request]) -> dict[str, int]:
    users = (request.user for request in requests if request.user is not None)
    return {user: number for number, user in enumerate(dict.fromkeys(users))}


def of_predictions(name: str, golden: Golden) -> str:
    wrong, of = golden.plain["wrong"], golden.plain["of"]
    if not wrong:
        few = golden.check.status is not Status.PASS
        said = f"All {of:,} predictions are as expected, singly and in bursts"
        return f"{said}; of too few payloads to tell ({golden.plain['payloads']:,})." if few else f"{said}."
    share = f"{percent(wrong / of)} of {of:,} predictions"
    if golden.check.status is not Status.FAIL:
        return f"{share} differ from the expected ones, within what may."
    if golden.due is not None:
        return f"{share} are wrong, which follows from {golden.due.named()}."
    meaning = CAUSES[golden.cause].meaning if golden.cause in CAUSES else "the cause is not recognised"
    return f"{name}: {share} are wrong: {meaning}{'; ' + golden.plain['says'] if golden.plain['says'] else ''}."
