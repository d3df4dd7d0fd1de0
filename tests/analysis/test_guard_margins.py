"""How much worse a canary may still be: the bound covers, and correlation widens it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.stats import binom

from proofload.analysis.frozen_baseline import usually_bad
from proofload.analysis.guard_margins import Excess, disagreement, excess, tail_excess

BLOCKS, EACH = 40, 50
N = BLOCKS * EACH
BLOCK = np.repeat(np.arange(BLOCKS), EACH)
ARM = np.arange(N) % 2 == 1
NOBODY = np.full(N, -1)


def of(bad: np.ndarray[tuple[int], np.dtype[np.bool_]], user: np.ndarray[tuple[int], np.dtype[np.int64]] = NOBODY,
       margin: float = 0.01) -> Excess:  # fmt: skip
    return excess(bad, ARM, BLOCK // 10, BLOCK, user, margin=margin, confidence=0.99)


def test_without_bad_answers_the_bound_is_that_of_their_number() -> None:
    found = of(np.zeros(N, np.bool_))
    assert found.upper == pytest.approx(1 - 0.01 ** (1 / (N / 2)))  # (1 - p)^1000 = 1 %
    assert found.factor == 1.0


def test_without_data_there_is_no_bound() -> None:
    none = np.zeros(N, np.bool_)
    unknown = Excess(0.0, 0.0, None, 0.99, None)
    assert excess(none, none, BLOCK, BLOCK, NOBODY, margin=0.01, confidence=0.99) == unknown
    empty = np.zeros(0, np.int64)
    assert disagreement(empty, empty, margin=0.01, confidence=0.99) == unknown


def test_what_would_settle_it_is_told_and_settles_it() -> None:
    found = of(np.zeros(N, np.bool_), margin=0.002)
    assert found.upper is not None
    assert found.upper > 0.002
    assert found.factor == pytest.approx(found.upper / 0.002, rel=0.05)
    assert of(ARM.copy(), margin=0.5).factor is None  # a share above the margin never comes below


def test_bad_answers_in_bursts_or_of_one_user_are_worth_less() -> None:
    rng = np.random.default_rng(1)
    spread = ARM & (rng.random(N) < 0.05)
    at_once = ARM & np.isin(BLOCK, (3, 17))
    users = np.arange(N) // 2 % 40
    of_some = ARM & (users < 2)
    scattered, burst, by_user = of(spread).upper, of(at_once).upper, of(of_some, users).upper
    assert scattered is not None
    assert burst is not None
    assert by_user is not None
    assert scattered < 0.08
    assert burst > 0.1
    assert by_user > 0.1


def test_the_baseline_is_weighed_by_the_stages_of_the_canary() -> None:
    """Both fail in the first stage alone, in which the canary has a tenth of the traffic: no difference."""
    first = BLOCK < BLOCKS // 2
    arm = np.where(first, np.arange(N) % 10 == 0, np.arange(N) % 2 == 0)
    bad = first & (np.arange(N) % 20 < 10)
    found = excess(bad, arm, (~first).astype(np.int64), BLOCK, NOBODY, margin=0.01, confidence=0.99)
    assert found.baseline == pytest.approx(found.canary, abs=0.03)
    assert np.mean(bad[~arm]) > found.canary + 0.1  # which a plain share of the baseline's would hide


def test_the_bound_is_below_the_truth_as_seldom_as_stated() -> None:
    """Canary 3 %, baseline 1 %, 1 % error rate; 400 histories: more than 13 come about once in 10,000."""
    rng = np.random.default_rng(3)
    below = 0
    for _ in range(400):
        upper = of(rng.random(N) < np.where(ARM, 0.03, 0.01)).upper
        assert upper is not None
        below += upper < 0.02
    assert below <= int(binom.isf(1e-4, 400, 0.01))


def test_pairs_that_agree_show_what_their_number_shows() -> None:
    few, many = np.full(20, 20, np.int64), np.full(50, 20, np.int64)
    no_few, no_many = np.zeros(20, np.int64), np.zeros(50, np.int64)
    at_400 = disagreement(no_few, few, margin=0.01, confidence=0.99).upper
    at_1000 = disagreement(no_many, many, margin=0.01, confidence=0.99).upper
    assert at_400 is not None
    assert at_1000 is not None
    assert at_1000 < 0.01 < at_400  # 459 show at most 1 %


def test_a_user_is_left_out_for_what_he_always_meets_and_not_for_one_bad_answer() -> None:
    rng = np.random.default_rng(2)
    user = np.repeat(np.arange(500), 40)
    bad = rng.random(len(user)) < 0.05  # by chance alone: nearly all of the users meet one
    always = user < 5
    found = usually_bad(user, bad | always, 500)
    assert found[:5].all()
    assert not found[5:].any()
    assert not usually_bad(np.arange(500), np.arange(500) % 20 == 0, 500).any()  # one answer each proves nothing


def test_where_all_is_bad_nobody_is_left_out() -> None:
    assert not usually_bad(np.repeat(np.arange(10), 20), np.ones(200, np.bool_), 10).any()


def test_what_befalls_both_versions_at_once_does_not_widen_the_bound() -> None:
    at_once = np.isin(BLOCK, (3, 17, 30))
    rng = np.random.default_rng(4)
    apart = np.where(ARM, at_once, np.isin(BLOCK, (8, 22, 35))) & (rng.random(N) < 0.5)
    together, alone = of(at_once & (rng.random(N) < 0.5)).upper, of(apart).upper
    assert together is not None
    assert alone is not None
    assert together < 0.5 * alone


def test_a_stall_is_one_spell_and_a_scattered_tail_is_not() -> None:
    rng = np.random.default_rng(5)
    stalls = ARM & np.isin(np.arange(N) // 10, (20, 90, 150))  # ten in a row
    scattered = ARM & (rng.random(N) < 2 * stalls.mean())
    found = [
        tail_excess(bad, ARM, BLOCK // 10, BLOCK, NOBODY, margin=0.02, longest=0.1, confidence=0.99)
        for bad in (stalls, scattered, ARM & (rng.random(N) < 0.15))
    ]
    uppers = [one.upper for one in found]
    assert uppers[0] is not None
    assert uppers[1] is not None
    assert uppers[0] < 0.02 < uppers[1]
    assert [one.of_spells for one in found] == [True, True, False]  # the last has too many, in spells or not


@pytest.mark.parametrize("nobody", [True, False])
def test_the_difference_is_bounded_by_exact_bounds_of_both_put_together(nobody: bool) -> None:
    """400 answers of each, spread evenly over blocks and users: each counts whole."""
    arm = np.arange(800) % 2 == 1
    bad = np.isin(np.arange(800) // 2 % 40, (3,)) & arm | np.isin(np.arange(800) // 2 % 80, (7,)) & ~arm
    user = np.full(800, -1) if nobody else np.arange(800) // 160 * 2 + arm  # each is answered badly as often
    found = excess(bad, arm, np.zeros(800, np.int64), np.arange(800) // 160, user, margin=0.5, confidence=0.95)
    assert found.canary == pytest.approx(0.025)
    assert found.baseline == pytest.approx(0.0125)
    shrink = (stats.norm.isf(0.05) / stats.t.isf(0.05, 2)) ** 2  # of five blocks: half of four degrees
    n = 400 * shrink
    high = stats.beta.isf(0.05, 0.025 * n + 1, n - 0.025 * n)
    low = stats.beta.ppf(0.05, 0.0125 * n, n - 0.0125 * n + 1)
    assert found.upper == pytest.approx(0.0125 + np.hypot(high - 0.025, 0.0125 - low))


def test_a_stage_without_the_baseline_counts_as_if_it_had_answered_all_well() -> None:
    window = np.repeat([0, 1], 400)
    arm = np.where(window == 0, np.arange(800) % 2 == 1, True)
    bad = (window == 0) & (np.arange(800) % 4 < 2)
    found = excess(bad, arm, window, np.arange(800) // 40, np.full(800, -1), margin=0.5, confidence=0.99)
    assert found.canary == pytest.approx(100 / 600)
    assert found.baseline == pytest.approx(0.5 * 200 / 600)


def test_disagreement_in_bursts_is_worth_less() -> None:
    trials = np.full(20, 50, np.int64)
    spread, burst = np.ones(20, np.int64), np.array([20] + [0] * 19)
    even = disagreement(spread, trials, margin=0.5, confidence=0.99)
    at_once = disagreement(burst, trials, margin=0.5, confidence=0.99)
    assert even.canary == at_once.canary == pytest.approx(0.02)
    assert even.upper == pytest.approx(stats.beta.isf(0.01, 21, 980))
    scatter = (19.0**2 + 19 * 1.0**2) / (1000 * 0.02 * 0.98)
    n = 1000 / scatter
    assert at_once.upper == pytest.approx(stats.beta.isf(0.01, 0.02 * n + 1, 0.98 * n))
    assert disagreement(trials, trials, margin=0.5, confidence=0.99).upper == 1.0


def test_more_data_would_settle_what_is_told_to_settle_it() -> None:
    found = disagreement(np.zeros(1, np.int64), np.array([100]), margin=0.01, confidence=0.99)
    assert found.factor == pytest.approx(np.log(0.01) / np.log(0.99) / 100, rel=0.05)
    enough = np.array([round(100 * (found.factor or 0.0))])
    assert (disagreement(np.zeros(1, np.int64), enough, margin=0.01, confidence=0.99).upper or 1.0) < 0.01
    assert disagreement(np.array([0]), np.array([1]), margin=1e-5, confidence=0.99).factor is None


@pytest.mark.parametrize(("others_bad", "left_out"), [(80, True), (110, False)])
def test_two_bad_answers_of_two_are_always_where_chance_gives_one_in_a_hundred(others_bad: int, left_out: bool) -> None:
    user = np.concatenate([[0, 0], 1 + np.arange(998)])
    bad = np.concatenate([[True, True], np.arange(998) < others_bad])
    assert usually_bad(user, bad, 999).tolist() == [left_out] + [False] * 998
