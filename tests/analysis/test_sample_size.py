"""How many users an experiment takes: what a pilot shows, against the analysis of variance; what a plan promises."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from proofload.analysis.sample_size import Plan, Spread, plan, spread_of

RNG = np.random.default_rng(5)


def test_the_variances_within_and_between_are_those_of_the_analysis_of_variance() -> None:
    counts = RNG.integers(1, 9, 50)
    user = np.repeat(np.arange(50) * 2, counts)  # every second number was never seen
    values = RNG.normal(3.0, 2.0, 100)[user] + RNG.normal(0.0, 1.5, len(user))
    found = spread_of(values, user)
    groups = [values[user == one] for one in np.unique(user)]
    inside = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    within = inside / sum(len(group) - 1 for group in groups)
    means = np.array([group.mean() for group in groups])
    by_chance = within * np.mean([1 / len(group) for group in groups])
    assert found.within == pytest.approx(within)
    assert found.between == pytest.approx(means.var(ddof=1) - by_chance)
    assert found.mean == pytest.approx(means.mean())
    assert found.foretold == pytest.approx(found.between / means.var(ddof=1))


def test_users_seen_once_have_no_spread_of_their_own_but_that_of_all() -> None:
    values = RNG.normal(0.0, 2.0, 60)
    found = spread_of(values, np.arange(60))
    assert found.within == pytest.approx(values.var(ddof=1))
    assert found.between == pytest.approx(0.0, abs=1e-12)
    assert found.foretold == pytest.approx(0.0, abs=1e-12)


def test_little_shows_little() -> None:
    none = np.zeros(0, np.int64)
    assert spread_of(np.zeros(0), none) == Spread(0.0, 0.0, 0.0, 0.0)
    assert spread_of(np.array([4.0]), np.array([0])) == Spread(4.0, 0.0, 0.0, 0.0)
    alone = spread_of(np.array([1.0, 3.0]), np.array([0, 0]))
    assert (alone.mean, alone.between, alone.within, alone.foretold) == (2.0, 0.0, 2.0, 0.0)
    certain = spread_of(np.array([1.0, 1.0, 5.0, 5.0]), np.array([0, 0, 1, 1]))
    assert certain.foretold == 0.99  # never all


def test_a_user_s_mean_varies_less_the_more_was_foretold_and_the_more_he_asks() -> None:
    spread = Spread(0.0, between=4.0, within=9.0, foretold=0.75)
    assert spread.of_a_mean(3) == pytest.approx(1.0 + 3.0)
    assert spread.of_a_mean(0.5) == pytest.approx(1.0 + 9.0)


def planned(margin: float = 0.1, mde: float = 0.3, users: int = 500) -> Plan:
    spread = Spread(0.0, between=2.0, within=6.0, foretold=0.5)  # of a mean of three: 3
    return plan(spread, margin=margin, mde=mde, users=users, requests=3, alpha_fail=0.001, alpha_pass=0.01, power=0.95)


def test_the_users_needed_are_the_more_of_those_to_pass_and_those_to_fail() -> None:
    z_pass, z_fail, z_power = (float(stats.norm.isf(alpha)) for alpha in (0.01, 0.001, 0.05))
    to_pass = (z_pass + z_power) ** 2 * 2 * 3.0
    to_fail = (z_fail + z_power) ** 2 * 2 * 3.0
    assert planned(0.1, 0.3).users_needed == int(np.ceil(to_pass / 0.1**2))
    assert planned(0.1, 0.15).users_needed == int(np.ceil(to_fail / 0.05**2))
    assert planned(50.0, 900.0).users_needed == 2


def test_the_smallest_harm_that_is_found_is_the_one_that_would_need_the_users_there_are() -> None:
    expected = planned(users=500)
    again = planned(mde=expected.smallest_found)
    assert again.users_needed == pytest.approx(max(500, planned(mde=9.0).users_needed), rel=0.01)
    many = planned(users=40_000)
    assert planned(mde=many.smallest_found).users_needed == pytest.approx(40_000, abs=2)
    assert np.isfinite(planned(users=0).smallest_found)


@pytest.mark.parametrize(("users", "enough"), [(9_999, False), (10_000, True), (10_001, True)])
def test_as_many_as_are_needed_are_enough(users: int, enough: bool) -> None:
    assert Plan(0.1, 0.3, 0.95, 10_000, users, 0.2).enough is enough
