"""What company does to latency."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from proofload.analysis.company import chance_faster, held_back, in_flight

MS = 1_000_000
ALPHAS = {"alpha_fail": 0.0001, "alpha_pass": 0.01}


def ns(*ms: float) -> np.ndarray:
    return (np.array(ms) * MS).astype(np.int64)


def test_in_flight_counts_those_sent_before_and_not_yet_answered() -> None:
    sent, done = ns(0, 10, 50), ns(40, 60, 55)
    assert list(in_flight(ns(0, 10, 39, 40, 50, 56, 60), sent, done)) == [0, 1, 2, 1, 1, 1, 0]


def test_a_lone_request_answered_together_with_a_later_one_was_held_back() -> None:
    sent, done = ns(0, 120, 400, 450), ns(230, 231, 440, 490)
    company = in_flight(sent, sent, done)
    assert list(held_back(sent, done, company)) == [True]  # the others found it idle and were not followed in time


def test_durations_that_are_none_do_not_count() -> None:
    unknown = np.full(40, np.nan)
    assert chance_faster(unknown, np.full(40, 10.0), 1.0, **ALPHAS) is None
    assert chance_faster(np.full(40, 10.0), unknown, 1.0, **ALPHAS) is None
    some = np.concatenate([np.full(5, np.nan), np.full(20, 1.0)])
    assert chance_faster(some, np.full(20, 10.0), 1.0, **ALPHAS) == chance_faster(
        some[5:], np.full(20, 10.0), 1.0, **ALPHAS
    )


def test_a_queue_holds_nobody_back() -> None:
    sent = ns(0, 20, 100, 130)
    done = ns(40, 80, 140, 180)
    assert list(held_back(sent, done, in_flight(sent, sent, done))) == [False, False]


def test_requests_too_near_to_each_other_tell_nothing() -> None:
    sent, done = ns(0, 1), ns(40, 40.1)
    assert len(held_back(sent, done, in_flight(sent, sent, done))) == 0
    assert len(held_back(ns(), ns(), ns())) == 0


def test_company_that_waits_is_not_faster_and_company_that_helps_is() -> None:
    rng = np.random.default_rng(5)
    alone = rng.normal(200.0, 3.0, 60)
    waits = chance_faster(rng.normal(260.0, 30.0, 60), alone, 5.0, **ALPHAS)
    helps = chance_faster(rng.uniform(20.0, 210.0, 60), alone, 5.0, **ALPHAS)
    assert waits is not None
    assert helps is not None
    assert waits.value < 0.1
    assert waits.high < 0.2
    assert helps.value > 0.85
    assert helps.fail_low > 0.6


def test_a_handful_says_nothing() -> None:
    assert chance_faster(np.ones(5), np.ones(50), 1.0, **ALPHAS) is None


def test_the_chance_is_that_of_all_pairs_and_its_bounds_are_student_s() -> None:
    rng = np.random.default_rng(6)
    company, alone = rng.normal(100.0, 10.0, 60), rng.normal(110.0, 10.0, 60)
    found = chance_faster(company, alone, 3.0, alpha_fail=0.001, alpha_pass=0.05)
    assert found is not None
    assert found.value == pytest.approx(np.mean(company[:, None] + 3.0 < alone[None, :]))
    assert found.low < found.value < found.high
    assert found.fail_low < found.low
    assert (found.high - found.value) == pytest.approx(found.value - found.low)
    steps = (found.value - found.fail_low) / (found.value - found.low)
    assert stats.norm.isf(0.001) / stats.norm.isf(0.05) < steps < stats.t.isf(0.001, 9) / stats.t.isf(0.05, 9)
