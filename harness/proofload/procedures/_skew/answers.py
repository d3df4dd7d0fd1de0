"""Captured answers of a run folder, as columns: who was asked what, when, and what came back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.feature_values import Values
from proofload.engine.answers import MISSING, agrees, compile_path
from proofload.procedures import Evidence
from proofload.procedures._skew.replay import Request
from proofload.records import Outcome

ANSWERED = (Outcome.OK, Outcome.WRONG, Outcome.LATE)


@dataclass(frozen=True, slots=True)
class Answers:
    """One row an answer, in the order in which they were sent."""

    payload: NDArray[np.int64]
    phase: NDArray[np.int64]
    begin_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    bodies: Sequence[Any]
    predictions: Sequence[Any]
    """MISSING where the answer has none."""
    wrong: NDArray[np.bool_]
    """Of payloads with an expectation: not what was expected."""

    def __len__(self) -> int:
        return len(self.payload)


def read_answers(evidence: Evidence, requests: Sequence[Request]) -> Answers:
    """Answers that are complete: those of requests that ended, in whatever way, with an answer's body."""
    response = evidence.run["target"].get("response", {})
    prediction_of = compile_path(response.get("prediction") or "$.prediction")
    rtol = float(response.get("rtol", 1e-4))
    spans = _spans(evidence)
    rows: list[tuple[int, int, int, int, Any, Any, bool]] = []
    for answer in evidence.answers():
        span = spans.get((int(answer["phase"]), int(answer["seq"])))
        payload = int(answer["payload"])
        if span is None or not 0 <= payload < len(requests) or answer.get("arm", 0) != 0:
            continue
        seen = prediction_of(answer["answer"])
        request = requests[payload]
        wrong = request.has_expectation and (seen is MISSING or not agrees(request.expect, seen, rtol))
        rows.append((payload, int(answer["phase"]), *span, answer["answer"], seen, wrong))
    rows.sort(key=lambda row: row[2])
    return Answers(
        payload=np.array([row[0] for row in rows], dtype=np.int64),
        phase=np.array([row[1] for row in rows], dtype=np.int64),
        begin_ns=np.array([row[2] for row in rows], dtype=np.int64),
        end_ns=np.array([row[3] for row in rows], dtype=np.int64),
        bodies=[row[4] for row in rows],
        predictions=[row[5] for row in rows],
        wrong=np.array([row[6] for row in rows], dtype=np.bool_),
    )


def features_in(
    answers: Answers, path: str, names: Sequence[str]
) -> tuple[dict[str, Values], NDArray[np.int64], list[str]]:
    """(features by name, the answers that have any, names that no answer has)."""
    features_of = compile_path(path)
    found = [features_of(body) for body in answers.bodies]
    rows = np.array([row for row, one in enumerate(found) if isinstance(one, Mapping) and one], dtype=np.int64)
    seen: set[str] = set()
    for row in rows.tolist():
        seen.update(found[row])
    lacking = [name for name in names if name not in seen]
    columns = {
        name: Values.of_objects([found[row].get(name) for row in rows.tolist()]) for name in names if name in seen
    }
    return columns, rows, lacking


def told(answers: Answers, path: str) -> list[str]:
    """The distinct texts that a JSONPath finds in answers, such as the schema's hash."""
    value_of = compile_path(path)
    values = (value_of(body) for body in answers.bodies)
    return sorted({str(value) for value in values if value is not MISSING and value is not None})


def as_numbers(predictions: Sequence[Any]) -> NDArray[np.float64]:
    """One number for each prediction, near where predictions are near: the number itself, the first one with decimals
    in an object or list; else the number of its text. NaN where there is none."""
    tokens: dict[str, int] = {}
    return np.array([_as_number(prediction, tokens) for prediction in predictions], dtype=np.float64)


def _as_number(prediction: Any, tokens: dict[str, int]) -> float:
    if prediction is MISSING or prediction is None:
        return float("nan")
    if isinstance(prediction, (int, float)) and not isinstance(prediction, bool):
        return float(prediction)
    inner = prediction.values() if isinstance(prediction, dict) else prediction if isinstance(prediction, list) else ()
    for value in inner:
        if isinstance(value, float):
            return value
    # far from any number, and a whole step apart
    return -1e9 - 1e6 * tokens.setdefault(json.dumps(prediction, sort_keys=True, default=str), len(tokens))


@dataclass(frozen=True, slots=True)
class Fates:
    """What became of the payloads, twins aside."""

    sent: int
    failed: int
    """Never answered, and errors at least once."""
    given_up: int
    """Never answered: refused, or not in time."""


def fates(evidence: Evidence, twins: Sequence[int], payloads: int) -> Fates:
    """Over all phases."""
    sent, answered, failed = (np.zeros(payloads, np.bool_) for _ in range(3))
    for phase in evidence.phases:
        table = evidence.samples(phase.index).table
        table = table[(table["payload"] >= 0) & (table["payload"] < payloads)]
        sent[table["payload"][table["outcome"] != Outcome.UNSENT]] = True
        answered[table["payload"][np.isin(table["outcome"], ANSWERED)]] = True
        failed[table["payload"][table["outcome"] == Outcome.ERROR]] = True
    sent[list(twins)] = False
    lost = sent & ~answered
    return Fates(int(sent.sum()), int((lost & failed).sum()), int((lost & ~failed).sum()))


def _spans(evidence: Evidence) -> dict[tuple[int, int], tuple[int, int]]:
    """When each request of the captured phases was sent and answered."""
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for phase in evidence.phases:
        table = evidence.samples(phase.index).table
        table = table[np.isin(table["outcome"], ANSWERED) & (table["mirror"] == 0)]
        found.update(
            zip(
                ((phase.index, seq) for seq in table["seq"].tolist()),
                zip(table["sent_ns"].tolist(), table["done_ns"].tolist(), strict=True),
                strict=True,
            )
        )
    return found
