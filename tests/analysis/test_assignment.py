"""Splits and sides: units are users, and the tests may be looked at all the time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import betaln

from proofload.analysis.assignment import leavers, share_bounds, split_seen, too_many, wanderers

LIMIT = math.log(4 / 0.001)


def test_each_user_counts_once_at_his_first_request() -> None:
    user = np.array([7, 7, 7, 8, -1, -1])
    seen = split_seen(user, np.array([True, True, True, False, True, True]), 0.5)
    assert (seen.units, seen.on_canary) == (4, 3)


def test_a_few_busy_users_are_no_mismatch() -> None:
    """By requests, every second good run would be called invalid."""
    rng = np.random.default_rng(3)
    place = rng.random(300)
    user = (300 * rng.random(20_000) ** 4).astype(np.int64)
    by_user = split_seen(user, place[user] < 0.25, 0.25)
    by_request = split_seen(np.full(20_000, -1), place[user] < 0.25, 0.25)
    assert by_user.log_e < LIMIT < by_request.log_e


def test_a_wrong_share_is_found() -> None:
    rng = np.random.default_rng(3)
    assert split_seen(np.arange(2000), rng.random(2000) < 0.4, 0.25).log_e > LIMIT
    assert split_seen(np.arange(2000), rng.random(2000) < 0.25, 0.25).log_e < LIMIT


@pytest.mark.parametrize(("share", "arm"), [(0.0, True), (1.0, False)])
def test_one_on_the_wrong_side_refutes_all_or_nothing(share: float, arm: bool) -> None:
    assert split_seen(np.arange(3), np.full(3, arm), share).log_e == math.inf
    assert split_seen(np.arange(3), np.full(3, not arm), share).log_e == 0.0


def test_nobody_is_no_evidence() -> None:
    seen = split_seen(np.zeros(0, np.int64), np.zeros(0, np.bool_), 0.5)
    assert (seen.units, seen.seen, seen.log_e) == (0, None, 0.0)


def test_users_seen_on_both_sides_wander() -> None:
    user = np.array([1, 1, 2, 2, 3, -1, -1])
    side = np.array([True, False, True, True, False, True, False])
    assert wanderers(user, side) == (1, 2)
    assert wanderers(np.full(3, -1), np.array([True, False, True])) == (0, 0)


def test_users_who_leave_a_growing_canary_are_counted() -> None:
    first = (np.array([1, 2, 3]), np.array([True, True, False]))
    second = (np.array([1, 2, 3]), np.array([True, False, True]))
    assert leavers([first, second]) == (1, 2)
    assert leavers([first]) == (0, 0)


def test_bounds_and_chances() -> None:
    low, high = share_bounds(0, 100)
    assert low == 0.0
    assert high == pytest.approx(0.0516, abs=1e-3)
    assert share_bounds(100, 100)[1] == 1.0
    assert not too_many(0, 10, tolerated=0.001, alpha=0.001)
    assert not too_many(1, 100, tolerated=0.001, alpha=0.001)
    assert too_many(2, 10, tolerated=0.001, alpha=0.001)


def test_the_share_that_was_seen_is_of_units() -> None:
    assert split_seen(np.arange(4), np.array([True, False, False, False]), 0.25).seen == 0.25


def test_too_many_is_the_exact_binomial_test() -> None:
    for count in range(1, 12):
        chance = stats.binomtest(count, 300, 0.01, alternative="greater").pvalue
        assert too_many(count, 300, tolerated=0.01, alpha=0.05) is bool(chance <= 0.05)


def test_the_evidence_against_a_split_is_the_beta_binomial_mixture_of_all_units() -> None:
    """After n units of which k went to the canary: Beta(a + k, b + n − k) to Beta(a, b), and the share's own."""
    arms = np.random.default_rng(5).random(401) < 0.5
    found = split_seen(np.full(401, -1), arms, 0.25)
    a, b = 200 * 0.25, 200 * 0.75
    path = [
        betaln(a + k, b + n - k) - betaln(a, b) - k * math.log(0.25) - (n - k) * math.log(0.75)
        for n, k in enumerate(np.cumsum(arms).tolist(), 1)
    ]
    assert found.log_e == pytest.approx(max(path))
