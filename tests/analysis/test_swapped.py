"""Whose answers the wrong ones are: small histories made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from proofload.analysis.swapped import Answered, Traced, permutations, trace

EXPECTED = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
IDS = ["a", "b", "c", "d", "e"]


def traced(rows: list[tuple[int, int, int, float]], users: list[int] | None = None, **options: Any) -> Traced:
    """Rows: (payload, sent, answered, prediction)."""
    payload, begin, end, said = (np.array(column) for column in zip(*rows, strict=True))
    wrong = np.abs(said - EXPECTED[payload]) > 1e-4
    answers = Answered(payload, begin, end, wrong, said)
    whose = np.array(users or [-1] * len(EXPECTED))
    return trace(answers, EXPECTED, options.get("same", {}), users=whose, rtol=1e-4, ids=IDS)


def test_two_in_flight_that_changed_answers_are_found() -> None:
    found = traced([(0, 10, 20, 0.2), (1, 11, 21, 0.1), (2, 50, 60, 0.3)])
    assert (found.wrong, found.in_flight) == (2, 2)
    assert found.examples[0] == "a got the answer of b, in flight at the same time"


def test_the_answer_of_one_who_was_not_there_is_not_cross_talk() -> None:
    found = traced([(0, 10, 20, 0.2), (1, 50, 60, 0.2)])
    assert (found.in_flight, found.elsewhere) == (0, 1)


def test_the_answer_to_another_event_of_the_same_user_is_told_apart() -> None:
    found = traced([(1, 1, 2, 0.2), (0, 10, 20, 0.2)], users=[7, 7, 8, 8, 8])
    assert (found.same_user, found.elsewhere) == (1, 0)


def test_the_answer_to_the_same_values_in_another_order_is_told_apart() -> None:
    same = permutations([(1.0, 2.0), (1.0, 2.0), (3.0,), None, None])
    assert same == {0: [1], 1: [0]}
    found = traced([(1, 1, 2, 0.2), (0, 10, 20, 0.2)], same=same)
    assert found.permuted == 1


def test_wrong_answers_that_are_nobody_s_are_nobody_s() -> None:
    found = traced([(0, 10, 20, 0.77), (1, 11, 21, 0.2)])
    assert (found.wrong, found.in_flight, found.permuted, found.elsewhere) == (1, 0, 0, 0)


def test_coincidence_is_counted_where_many_expect_the_same() -> None:
    """Five payloads of two classes: half of all company fits whatever is answered."""
    expected = np.array([0.0, 0.0, 1.0, 1.0, 1.0])
    answers = Answered(
        np.array([0, 1, 2]), np.array([1, 2, 3]), np.array([9, 9, 9]), np.array([True, False, False]),
        np.array([1.0, 0.0, 1.0]),
    )  # fmt: skip
    found = trace(answers, expected, {}, users=np.full(5, -1), rtol=1e-4, ids=IDS)
    assert found.in_flight == 1
    assert found.in_flight_by_chance >= 1.0


def test_what_ended_before_or_began_after_is_no_company() -> None:
    ended = traced([(1, 1, 9, 0.2), (0, 10, 20, 0.2)])
    assert (ended.in_flight, ended.elsewhere) == (0, 1)
    at_once = traced([(1, 1, 10, 0.2), (0, 10, 20, 0.2)])
    assert at_once.in_flight == 1
    later = traced([(0, 10, 20, 0.2), (1, 20, 30, 0.2)])
    assert later.in_flight == 0
    long_before = traced([(1, 1, 15, 0.2), (2, 8, 9, 0.3), (0, 10, 20, 0.2)])
    assert long_before.in_flight == 1


def test_answers_are_near_by_relative_tolerance() -> None:
    near = traced([(0, 10, 20, 0.2 * (1 + 0.9e-4)), (1, 11, 21, 0.2)])
    far = traced([(0, 10, 20, 0.2 * (1 + 1.2e-4)), (1, 11, 21, 0.2)])
    assert (near.in_flight, far.in_flight) == (1, 0)


def test_a_twin_s_own_answer_counts_whatever_was_expected_of_it() -> None:
    same = {0: [1], 1: [0]}
    found = traced([(1, 1, 2, 0.77), (0, 10, 20, 0.77)], same=same)
    assert found.permuted == 2  # each was answered as the other
    assert found.examples[0].endswith("got the answer to the same values in another order")
    unlike = traced([(1, 1, 2, 0.66), (0, 10, 20, 0.77)], same=same)
    assert unlike.permuted == 0


def test_no_more_than_three_examples_and_some_thousand_answers_are_looked_at() -> None:
    n = 4001
    rows = [(0, 100 * at, 100 * at + 10, 0.2) for at in range(n)]
    found = traced(rows)
    assert found.wrong == 1334  # every third
    assert found.elsewhere == found.wrong
    many = traced([(0, 10, 20, 0.2), (1, 10, 20, 0.1), (2, 10, 20, 0.4), (3, 10, 20, 0.3)])
    assert (many.in_flight, len(many.examples)) == (4, 3)
    assert many.in_flight_by_chance == pytest.approx(4 * 3 * 1 / 5)
