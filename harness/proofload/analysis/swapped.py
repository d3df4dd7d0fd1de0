"""Wrong answers that are right ones of somebody else: in flight at the same time (cross-talk), or made of the same
values in another order (a cache whose key forgets the order)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MOST_ANSWERS = 2_000


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers as columns, a row each. `prediction` and `expected` number predictions: equal ones are near."""

    payload: NDArray[np.int64]
    begin_ns: NDArray[np.int64]
    """When it was sent."""
    end_ns: NDArray[np.int64]
    wrong: NDArray[np.bool_]
    prediction: NDArray[np.float64]
    """A number that stands for the prediction: its value, or the number of its token; NaN where there is none."""


@dataclass(frozen=True, slots=True)
class Traced:
    """Where wrong answers belong."""

    wrong: int
    in_flight: int
    """Right for another payload that was in flight at the time."""
    in_flight_by_chance: float
    """How many of these coincidence would give."""
    permuted: int
    """What a payload of the same values in another order was answered, or should have been."""
    same_user: int
    """Right for another payload of the same user that was not in flight: something kept too long."""
    elsewhere: int
    """Right for some other payload, of another user, that was not in flight."""
    examples: tuple[str, ...] = field(default=())


def trace(
    answers: Answered,
    expected: NDArray[np.float64],
    same_values: Mapping[int, Sequence[int]],
    *,
    users: NDArray[np.int64],
    rtol: float,
    ids: Sequence[str],
) -> Traced:
    """`expected`: of each payload, NaN where nothing is known. `same_values`: of a payload, those that hold the
    same values in another order. `users`: of each payload, −1 where none is named. Looks at no more than some
    thousand of the wrong answers."""
    order = np.argsort(expected)
    order = order[: int(np.isfinite(expected).sum())]
    ranked = expected[order]
    rows = np.flatnonzero(answers.wrong & np.isfinite(answers.prediction))
    rows = rows[:: max(1, -(-len(rows) // MOST_ANSWERS))]
    by_begin = np.argsort(answers.begin_ns, kind="stable")
    begins = answers.begin_ns[by_begin]
    longest_ns = int(np.max(answers.end_ns - answers.begin_ns, initial=0))
    said = _first_said(answers)
    in_flight = permuted = same_user = elsewhere = 0
    chance = 0.0
    examples: list[str] = []
    for row in rows.tolist():
        own, value = int(answers.payload[row]), float(answers.prediction[row])
        slack = abs(value) * rtol + 1e-12
        first, last = np.searchsorted(ranked, (value - slack, value + slack))
        fitting = {int(payload) for payload in order[first:last]} - {own}
        twins = [
            twin
            for twin in same_values.get(own, ())
            if twin in fitting or any(abs(one - value) <= slack for one in said.get(twin, ()))
        ]
        if twins:
            permuted += 1
            _tell(examples, f"{ids[own]} got the answer to the same values in another order")
            continue
        first, last = np.searchsorted(begins, (answers.begin_ns[row] - longest_ns, answers.end_ns[row]))
        beside = by_begin[first:last]
        beside = beside[answers.end_ns[beside] >= answers.begin_ns[row]]
        company = {int(payload) for payload in np.unique(answers.payload[beside])} - {own}
        chance += min(1.0, len(company) * len(fitting) / max(1, len(ranked)))
        if company & fitting:
            in_flight += 1
            other = min(company & fitting)
            _tell(examples, f"{ids[own]} got the answer of {ids[other]}, in flight at the same time")
        elif users[own] >= 0 and any(users[other] == users[own] for other in fitting):
            same_user += 1
        elif fitting:
            elsewhere += 1
    return Traced(len(rows), in_flight, chance, permuted, same_user, elsewhere, tuple(examples))


def permutations(signatures: Sequence[object]) -> dict[int, list[int]]:
    """Of each payload, the others with the same signature (its values, sorted), if any."""
    groups: dict[object, list[int]] = {}
    for index, signature in enumerate(signatures):
        if signature is not None:
            groups.setdefault(signature, []).append(index)
    return {
        index: [other for other in group if other != index]
        for group in groups.values()
        if len(group) > 1
        for index in group
    }


def _first_said(answers: Answered) -> dict[int, list[float]]:
    """What each payload was answered, without repetitions: a few values each."""
    found: dict[int, list[float]] = {}
    for payload, value in zip(answers.payload.tolist(), answers.prediction.tolist(), strict=True):
        known = found.setdefault(payload, [])
        if len(known) < 4 and value not in known:
            known.append(value)
    return found


def _tell(examples: list[str], example: str) -> None:
    if len(examples) < 3:
        examples.append(example)
