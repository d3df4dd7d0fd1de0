"""Blocks compared answer by answer."""

from __future__ import annotations

import numpy as np
import pytest

from proofload.analysis.matching import first_bad, matched

GOOD = np.zeros(100, np.bool_)


def flags(n: int, bad: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    made = np.zeros(n, np.bool_)
    made[:bad] = True
    return made


@pytest.mark.parametrize(("canary", "baseline", "sign"), [(3, 1, 1), (1, 3, -1), (2, 2, 0), (0, 0, 0)])
def test_who_has_more_bad_answers_did_worse(canary: int, baseline: int, sign: int) -> None:
    seen = matched(flags(10, canary), flags(10, baseline))
    assert (seen.size, seen.canary, seen.baseline, seen.sign) == (10, canary, baseline, sign)


def test_as_many_answers_of_each_are_compared_spread_over_the_block() -> None:
    seen = matched(flags(10, 1), np.ones(1000, np.bool_))
    assert (seen.size, seen.baseline) == (10, 10)
    late = np.zeros(1000, np.bool_)
    late[500:] = True
    assert matched(flags(10, 0), late).baseline == 5


def test_no_answers_no_sign() -> None:
    assert matched(flags(0, 0), flags(5, 5)).sign == 0
    assert matched(flags(5, 5), flags(0, 0)).size == 0


@pytest.mark.parametrize(
    ("canary", "baseline", "before", "sign"), [(3, 1, 2, 1), (3, 1, 3, 0), (3, 1, 4, -1), (1, 2, 0, -1), (2, 2, 1, 0)]
)
def test_worse_than_both_to_be_worse_better_than_either_to_be_better(
    canary: int, baseline: int, before: int, sign: int
) -> None:
    assert matched(flags(10, canary), flags(10, baseline), flags(10, before)).sign == sign


def test_looking_back_leaves_the_odds_even_or_better() -> None:
    rng = np.random.default_rng(7)
    signs = []
    for _ in range(4000):
        heavy = rng.random(300) < 0.05  # slower for its load alone, as the baseline was with all the traffic
        signs.append(matched(heavy, rng.random(20) < 0.001, rng.random(300) < 0.05).sign)
    assert np.count_nonzero(np.array(signs) > 0) <= np.count_nonzero(np.array(signs) < 0)


def test_a_users_first_bad_answer_counts_and_no_other() -> None:
    known = np.zeros(5, np.int64)
    user = np.array([1, 1, 2, -1, -1, 3])
    bad = np.array([True, True, False, True, True, True])
    assert first_bad(user, bad, known).tolist() == [True, False, False, True, True, True]
    assert first_bad(user, bad, known).tolist() == [False, False, False, True, True, False]
    assert known.tolist() == [0, 1, 0, 1, 0]


def test_a_request_that_was_answered_before_counts_thrice_when_it_fails() -> None:
    counted = np.zeros(5, np.int64)
    user, bad, proven = np.array([1, 2, 3]), np.array([True, True, False]), np.array([True, False, True])
    seen = [first_bad(user, bad, counted, proven).tolist() for _ in range(4)]
    assert seen == [[True, True, False], [True, False, False], [True, False, False], [False, False, False]]
