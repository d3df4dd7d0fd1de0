"""The binomial percentile rule: its known table, its three values, its error rates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from proofload.analysis.effective import batch_count, design_effect, effective_size
from proofload.analysis.rule import holds, requires
from proofload.records import Status


@pytest.mark.parametrize(
    ("over", "q", "needed"),
    [(0, 0.99, 459), (0, 0.999, 4603), (1, 0.99, 662), (1, 0.999, 6636), (10, 0.99, 2010), (10, 0.999, 20140)],
)
def test_the_table_of_required_samples(over: int, q: float, needed: int) -> None:
    assert requires(over, q) == needed


def test_without_correlation_the_rule_is_the_table() -> None:
    assert holds(0, 459, 0.99).status is Status.PASS
    short = holds(0, 458, 0.99)
    assert short.status is Status.INCONCLUSIVE
    assert short.needs == 459


def test_twice_what_is_allowed_fails_and_half_of_it_passes_given_enough_samples() -> None:
    assert holds(200, 10_000, 0.99).status is Status.FAIL
    assert holds(50, 10_000, 0.99).status is Status.PASS
    assert holds(100, 10_000, 0.99).status is Status.INCONCLUSIVE


def test_correlation_makes_both_verdicts_harder() -> None:
    assert holds(200, 10_000, 0.99, effect=20).status is Status.INCONCLUSIVE
    assert holds(20, 10_000, 0.99, effect=20).status is Status.INCONCLUSIVE


def test_no_data_settles_nothing() -> None:
    ruling = holds(0, 0, 0.99)
    assert ruling.status is Status.INCONCLUSIVE
    assert ruling.share is None
    assert ruling.needs == 459


def test_where_nothing_may_be_over_one_is_proof_and_none_is_a_pass_of_this_run() -> None:
    assert holds(1, 10**6, 1.0, effect=5).status is Status.FAIL
    assert holds(0, 1000, 1.0).status is Status.PASS
    assert holds(0, 0, 1.0).status is Status.INCONCLUSIVE
    with pytest.raises(ValueError, match="no number of samples"):
        requires(0, 1.0)


def test_everything_over_the_limit_fails_soon() -> None:
    assert holds(40, 40, 0.99, effect=3.0).status is Status.FAIL


@given(st.integers(40, 20_000), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.99, 0.999]), st.floats(1, 50))
def test_more_over_the_limit_never_helps(n: int, part: float, q: float, effect: float) -> None:
    order = [Status.PASS, Status.INCONCLUSIVE, Status.FAIL]
    over = int(part * (n - 1))
    before = holds(over, n, q, effect=max(effect, 1.01))
    after = holds(over + 1, n, q, effect=max(effect, 1.01))
    assert order.index(after.status) >= order.index(before.status)


@given(st.integers(100, 20_000), st.floats(0, 0.05), st.sampled_from([0.95, 0.99]), st.floats(1.1, 20))
def test_the_data_it_asks_for_would_settle_it(n: int, part: float, q: float, effect: float) -> None:
    ruling = holds(int(part * n), n, q, effect=effect)
    if ruling.status is not Status.INCONCLUSIVE or ruling.needs is None or ruling.needs > 10**8:
        return
    assert ruling.needs > n
    times = -(-ruling.needs // n)
    enough = holds(int(part * n) * times, n * times, q, effect=effect)
    assert enough.status is not Status.INCONCLUSIVE


def test_error_rates_at_the_limit_are_as_stated() -> None:
    """Exactly at the limit both verdicts are wrong; independent answers, one look."""
    rng = np.random.default_rng(7)
    passes = fails = 0
    repeats = 20_000
    counts = rng.binomial(5000, 0.01, repeats)
    verdicts = {over: holds(int(over), 5000, 0.99, alpha_fail=0.001).status for over in np.unique(counts)}
    for over in counts:
        passes += verdicts[over] is Status.PASS
        fails += verdicts[over] is Status.FAIL
    assert passes <= stats.binom.isf(0.001, repeats, 0.01)
    assert fails <= stats.binom.isf(0.001, repeats, 0.001)


def test_the_design_effect_of_independent_samples_is_near_one_and_that_of_runs_their_length() -> None:
    rng = np.random.default_rng(8)
    independent = rng.random(100_000) < 0.05
    assert design_effect(independent) < 2.2
    runs = np.repeat(rng.random(2_000) < 0.05, 50)
    assert 20 < design_effect(runs) < 110


def test_an_indicator_that_never_changes_shows_no_correlation() -> None:
    assert design_effect(np.zeros(1000, dtype=np.bool_)) == 1.0
    assert design_effect(np.ones(1000, dtype=np.bool_)) == 1.0


def test_three_samples_are_worth_one() -> None:
    hits = np.array([True, False, True])
    assert effective_size(3, design_effect(hits), 0.99) == 1.0


@pytest.mark.parametrize(("n", "batches"), [(1, 0), (3, 1), (4, 2), (39, 19), (40, 20), (10**6, 20)])
def test_batches_are_twenty_or_of_two_samples_each(n: int, batches: int) -> None:
    assert batch_count(n) == batches


def test_the_design_effect_is_the_variance_over_batches_to_that_of_chance() -> None:
    hits = np.zeros(100, dtype=np.bool_)
    hits[10:15] = True  # one of twenty batches of five
    shares = np.array([1.0] + [0.0] * 19)
    assert design_effect(hits) == pytest.approx(5 * shares.var(ddof=1) / (0.05 * 0.95))
