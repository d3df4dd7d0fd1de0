"""Differences of two arms: users count once, two-way clusters, shares never too sure, what was known is taken out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from proofload.analysis.arm_difference import (
    NOTHING,
    Difference,
    Shown,
    as_medians,
    as_shares,
    difference,
    stretches,
    user_means,
    without_what_was_known,
)
from proofload.analysis.confidence_sequence import bounds, radius
from proofload.analysis.sample_size import Spread, plan, spread_of

RNG = np.random.default_rng(7)


def shown(values: list[float], arm: list[int], user: list[int], stretch: list[int] | None = None) -> Shown:
    whole = stretch if stretch is not None else list(range(len(values)))
    return Shown(np.array(values, float), np.array(arm), np.array(user), np.array(whole))


def test_a_user_who_comes_often_counts_once() -> None:
    found = difference(shown([0, 0, 0, 0, 4, 1, 1], [0, 0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 2, 3]))
    assert found.baseline == 2.0  # users' means are 0 and 4
    assert found.effect == -1.0


def test_independent_users_have_the_variance_of_welch() -> None:
    values = RNG.normal(size=400)
    arm = np.repeat([0, 1], 200)
    found = difference(Shown(values, arm, np.arange(400), RNG.integers(0, 200, 400)))
    welch = values[:200].var(ddof=1) / 200 + values[200:].var(ddof=1) / 200
    assert found.variance == pytest.approx(welch, rel=0.35)
    assert found.variance >= welch * 0.999


def test_what_befalls_all_of_one_arm_at_once_widens_the_interval() -> None:
    stretch = np.tile(np.repeat(np.arange(20), 10), 2)
    arm = np.repeat([0, 1], 200)
    values = RNG.normal(size=400)
    calm = difference(Shown(values, arm, np.arange(400), stretch))
    stalled = difference(Shown(values + 5.0 * ((stretch == 3) & (arm == 1)), arm, np.arange(400), stretch))
    assert stalled.variance > 5 * calm.variance


def test_too_little_says_nothing() -> None:
    assert difference(shown([], [], [])) is NOTHING
    few = difference(shown([1, 2, 3, 4], [0, 0, 1, 1], [0, 1, 2, 3]))
    assert few.bounds(0.01, 0.01) == (-np.inf, np.inf)


def test_bounds_are_student_s() -> None:
    low, high = Difference(1.0, 4.0, 9, (50, 50), 0.0).bounds(0.01, 0.05)
    assert low == pytest.approx(1.0 - 2.0 * stats.t.isf(0.01, 9))
    assert high == pytest.approx(1.0 + 2.0 * stats.t.isf(0.05, 9))


def test_a_side_where_nothing_failed_is_not_sure() -> None:
    sure = Difference(0.0, 0.0, 20, (100, 400), 0.0)
    expected = sum((1 / (n + 2)) * (1 - 1 / (n + 2)) / (n + 2) for n in (100, 400))
    assert as_shares(sure).variance == pytest.approx(expected)
    assert as_shares(Difference(0.1, 1.0, 20, (100, 100), 0.5)).variance == 1.0


def test_medians_are_compared_by_values_whose_means_they_are() -> None:
    values = RNG.lognormal(size=4000)
    arm = np.repeat([0, 1], 2000)
    values[2000:] += 0.25
    found = as_medians(Shown(values, arm, np.arange(4000), np.arange(4000) // 100))
    for side in (0, 1):
        assert found.values[arm == side].mean() == pytest.approx(np.median(values[arm == side]), rel=1e-2)


def test_what_was_known_of_a_user_narrows_the_interval_and_keeps_the_effect() -> None:
    users = 300
    level = RNG.normal(0.0, 3.0, users)
    user = np.repeat(np.arange(users), 3)
    arm = (np.arange(users) % 2)[user]
    values = level[user] + RNG.normal(0.0, 0.5, len(user)) + 0.5 * arm
    raw = Shown(values, arm, user, np.arange(len(user)) % 25)
    known = level + RNG.normal(0.0, 0.3, users)
    known[5] = np.nan
    adjusted = difference(without_what_was_known(raw, known))
    assert adjusted.variance < difference(raw).variance / 10
    assert adjusted.effect == pytest.approx(0.5, abs=0.2)


def test_users_beyond_what_was_known_are_foretold_the_mean() -> None:
    raw = shown([1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1], [0, 1, 2, 9])
    assert np.isfinite(without_what_was_known(raw, np.array([1.0, 2.0, 3.0])).values).all()
    nothing = np.array([np.nan])
    assert without_what_was_known(raw, nothing) is raw


def test_stretches_and_means() -> None:
    assert list(stretches(np.array([10, 19, 20, 5]), 10, 10)) == [0, 0, 1, 0]
    assert np.array_equal(user_means(np.array([1.0, 3.0]), np.array([0, 0]), 2), [2.0, np.nan], equal_nan=True)


def test_a_sequence_s_bounds_are_wider_than_those_of_one_look_and_say_nothing_before_ten_stretches() -> None:
    found = Difference(0.3, 0.01, 30, (500, 500), 1.0)
    low, high = bounds(found, 0.2, 0.01, 0.01)
    once = found.bounds(0.01, 0.01)
    assert low < once[0] < once[1] < high
    assert radius(Difference(0.3, 0.01, 5, (500, 500), 1.0), 0.2, 0.05) == np.inf


def test_the_mixture_boundary_is_the_published_one() -> None:
    variance, tau, alpha = 0.04, 0.3, 0.05
    many = Difference(0.0, variance, 10**7, (10, 10), 0.0)  # so many that t is normal
    expected = np.sqrt(variance * (variance + tau**2) / tau**2 * np.log((variance + tau**2) / (variance * alpha**2)))
    assert radius(many, tau, alpha) == pytest.approx(expected, rel=1e-4)


def test_users_needed_grow_with_the_square_of_what_is_to_be_seen() -> None:
    spread = Spread(0.0, 1.0, 0.0, 0.0)

    def needed(margin: float) -> int:
        return plan(
            spread, margin=margin, mde=2 * margin, users=100, requests=1, alpha_fail=0.001, alpha_pass=0.01, power=0.95
        ).users_needed

    expected = 2 * (stats.norm.isf(0.001) + stats.norm.isf(0.05)) ** 2 / 0.1**2
    assert needed(0.1) == int(np.ceil(expected))
    assert needed(0.05) == pytest.approx(4 * expected, rel=0.01)


def test_a_plan_knows_the_smallest_harm_it_finds() -> None:
    spread = Spread(0.0, 1.0, 0.0, 0.0)
    found = plan(spread, margin=0.1, mde=0.2, users=10**6, requests=1, alpha_fail=0.001, alpha_pass=0.01, power=0.95)
    assert found.enough
    assert 0.1 < found.smallest_found < 0.2


def test_a_pilot_tells_users_from_requests() -> None:
    user = np.repeat(np.arange(400), 5)
    values = RNG.normal(0.0, 2.0, 400)[user] + RNG.normal(0.0, 1.0, 2000)
    spread = spread_of(values, user)
    assert spread.between == pytest.approx(4.0, rel=0.25)
    assert spread.within == pytest.approx(1.0, rel=0.15)
    assert 0.9 < spread.foretold <= 0.99
    assert spread_of(np.array([1.0]), np.array([0])).between == 0.0


def test_a_sequence_speaks_from_its_tenth_stretch_on_and_is_sure_of_what_never_varied() -> None:
    assert radius(Difference(0.3, 0.01, 8, (500, 500), 1.0), 0.2, 0.05) == np.inf
    assert radius(Difference(0.3, 0.01, 9, (500, 500), 1.0), 0.2, 0.05) < np.inf
    assert radius(Difference(0.3, 0.0, 8, (500, 500), 1.0), 0.2, 0.05) == np.inf
    assert radius(Difference(0.3, 0.0, 9, (500, 500), 1.0), 0.2, 0.05) == 0.0


def test_what_does_not_depend_on_what_was_known_stays_as_it_is() -> None:
    raw = shown([0.5, 0.5, 0.5, 0.75, 0.75, 0.75], [0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 5])
    known = np.array([1.0, 1.0, 3.0, 3.0, 3.0, 1.0])
    assert without_what_was_known(raw, known).values == pytest.approx(raw.values)


def test_shares_vary_at_least_as_one_more_of_each_would() -> None:
    found = Difference(0.3, 0.0, 20, (8, 18), 0.5)  # 0.5 of 8, 0.8 of 18
    first, second = (4 + 1) / 10, (0.8 * 18 + 1) / 20
    expected = first * (1 - first) / 10 + second * (1 - second) / 20
    assert as_shares(found).variance == pytest.approx(expected)
    of_little = as_shares(Difference(0.0, 0.0, 20, (98, 98), 0.0), 0.2).variance
    assert of_little == pytest.approx((0.01 * 0.99 + 0.2 * 0.8) / 100)


def test_the_density_at_the_median_is_taken_from_the_fifth_around_it() -> None:
    values = np.arange(1.0, 102.0)
    found = as_medians(Shown(values, np.zeros(101, np.int64), np.arange(101), np.arange(101)))
    low, high = np.quantile(values, [0.4, 0.6])
    assert np.unique(found.values) == pytest.approx([51 - (high - low) / 0.4, 51 + (high - low) / 0.4])


def test_the_freedom_is_that_of_the_stretches_and_seldom_bad_blocks_count_whole() -> None:
    values, arm = RNG.normal(size=400), np.repeat([0, 1], 200)
    stretch = np.tile(np.arange(10), 40)
    found = difference(Shown(values, arm, np.arange(400), stretch))
    assert found.freedom == 9
    assert found.users == (200, 200)
    level = [values[arm == side].mean() for side in (0, 1)]
    residual = np.where(arm == 1, 1, -1) * (values - np.array(level)[arm]) / 200
    users = float(np.sum(residual**2)) * 200 / 199
    times = float(sum(residual[stretch == one].sum() ** 2 for one in range(10))) * 10 / 9
    assert found.variance == pytest.approx(max(users + times - float(np.sum(residual**2)), users, times))
    assert np.isinf(difference(Shown(values, arm, np.arange(400), stretch % 7)).variance)
    assert np.isfinite(difference(Shown(values, arm, np.arange(400), stretch % 8)).variance)


@pytest.mark.parametrize(("users", "told"), [(19, False), (20, True)])
def test_twenty_users_on_each_arm_are_the_fewest(users: int, told: bool) -> None:
    n = 2 * users
    found = difference(Shown(RNG.normal(size=n), np.arange(n) % 2, np.arange(n), np.arange(n) % 9))
    assert bool(np.isfinite(found.variance)) is told
    assert radius(Difference(0.3, 0.01, 30, (500, 500), 1.0), 0.0, 0.05) == np.inf
