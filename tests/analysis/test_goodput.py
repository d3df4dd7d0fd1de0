"""Goodput by completion, and ratios of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from proofload.analysis.goodput import goodput_blocks, ratio_of_means
from proofload.clock import NS_PER_S

ALPHAS = {"alpha_fail": 0.0001, "alpha_pass": 0.01}


def instants(*seconds: float) -> np.ndarray:
    return (np.array(seconds) * NS_PER_S).astype(np.int64)


def test_a_steady_server_has_steady_blocks_whatever_the_grid() -> None:
    done = instants(*np.arange(0.013, 12.0, 0.04))
    blocks = goodput_blocks(done, NS_PER_S, 11 * NS_PER_S)
    assert len(blocks) == 10
    assert blocks == pytest.approx(25.0, abs=0.01)


def test_nothing_completed_is_zero_and_a_short_stretch_has_no_blocks() -> None:
    done = instants(0.5, 20.0)
    assert list(goodput_blocks(done, 2 * NS_PER_S, 5 * NS_PER_S)) == [0.0, 0.0, 0.0]
    assert list(goodput_blocks(instants(), 0, 3 * NS_PER_S)) == [0.0, 0.0, 0.0]
    assert len(goodput_blocks(done, 0, NS_PER_S // 2)) == 0


def test_a_long_stretch_has_longer_blocks_not_more() -> None:
    assert len(goodput_blocks(instants(*np.arange(0, 100, 0.1)), 0, 100 * NS_PER_S)) == 20


def test_the_same_goodput_has_ratio_one_and_its_interval_says_how_sure_that_is() -> None:
    ratio = ratio_of_means([24.8, 25.1, 25.0, 25.2, 24.9], [25.0, 25.2, 24.9, 25.1], **ALPHAS)
    assert ratio is not None
    assert ratio.low < 1.0 < ratio.high
    assert ratio.low > 0.97
    assert ratio.high < 1.03
    assert ratio.fail_high > ratio.high


def test_zero_above_is_ratio_zero_and_zero_below_says_nothing() -> None:
    zero = ratio_of_means([0.0] * 4, [5.0, 6.0, 5.5], **ALPHAS)
    assert zero is not None
    assert (zero.value, zero.fail_high) == (0.0, 0.0)
    assert ratio_of_means([1.0] * 4, [0.0] * 4, **ALPHAS) is None
    assert ratio_of_means([1.0] * 2, [1.0] * 4, **ALPHAS) is None


def test_a_fact_has_no_error_of_its_own() -> None:
    noisy = ratio_of_means([25.0, 25.2, 24.8, 25.1], [20.0, 30.0, 22.0, 28.0], **ALPHAS)
    fact = ratio_of_means([25.0, 25.2, 24.8, 25.1], 25.0, **ALPHAS)
    assert noisy is not None
    assert fact is not None
    assert fact.high - fact.low < (noisy.high - noisy.low) / 5


def test_what_is_not_known_to_differ_from_nothing_bounds_nothing() -> None:
    ratio = ratio_of_means([1.0, 2.0, 1.5], [0.0, 0.0, 9.0], **ALPHAS)
    assert ratio is not None
    assert (ratio.low, ratio.high) == (0.0, float("inf"))


def test_blocks_that_are_no_numbers_do_not_count() -> None:
    assert ratio_of_means([1.0, np.nan, 1.0], [1.0, 1.0, 1.0], **ALPHAS) is None
    assert ratio_of_means([1.0, 1.0, 1.0], np.nan, **ALPHAS) is None
    blocks = [24.0, np.nan, 25.0, 26.0, np.inf]
    assert ratio_of_means(blocks, 25.0, **ALPHAS) == ratio_of_means([24.0, 25.0, 26.0], 25.0, **ALPHAS)


@pytest.mark.parametrize("fact", [False, True])
def test_the_interval_is_fieller_s_with_the_freedom_of_welch(fact: bool) -> None:
    """The ratios r for which mean(above) − r · mean(below) is not significantly different from 0."""
    rng = np.random.default_rng(7)
    above, below = rng.normal(20.0, 2.0, 8), rng.normal(25.0, 1.5, 12)
    found = ratio_of_means(above, 25.0 if fact else below, alpha_fail=0.001, alpha_pass=0.05)
    assert found is not None
    low = 25.0 if fact else float(below.mean())
    parts = [(float(above.var(ddof=1)) / 8, 7, float(above.mean()))]
    parts += [] if fact else [(float(below.var(ddof=1)) / 12, 11, low)]
    relative = [(variance / mean**2, free) for variance, free, mean in parts]
    freedom = sum(part for part, _ in relative) ** 2 / sum(part**2 / free for part, free in relative)
    t = float(stats.t.isf(0.05, freedom))
    for edge in (found.low, found.high):
        error = np.sqrt(parts[0][0] + (0.0 if fact else edge**2 * parts[1][0]))
        assert abs(float(above.mean()) - edge * low) / error == pytest.approx(t)
    assert found.value == pytest.approx(float(above.mean()) / low)
    error = np.sqrt(parts[0][0] + (0.0 if fact else found.fail_high**2 * parts[1][0]))
    assert (found.fail_high * low - float(above.mean())) / error == pytest.approx(float(stats.t.isf(0.001, freedom)))


def test_counts_at_the_edges_of_blocks_are_interpolated() -> None:
    done = instants(0.5, 1.5, 2.5, 3.5)
    assert goodput_blocks(done, NS_PER_S, 3 * NS_PER_S) == pytest.approx([1.0, 1.0])
    uneven = instants(0.5, 1.25, 2.0, 2.5, 4.5)
    assert goodput_blocks(uneven, NS_PER_S, 3 * NS_PER_S) == pytest.approx([1 / 3 + 1.0, 1.0 + 0.25])
    assert goodput_blocks(done, NS_PER_S, NS_PER_S + 5 * NS_PER_S // 2) == pytest.approx([1.0, 1.0], abs=0.2)
    assert goodput_blocks(instants(1.5), NS_PER_S, 3 * NS_PER_S).tolist() == [0.0, 0.0]  # one tells no rate


def test_three_blocks_are_the_fewest_and_what_never_varied_is_certain() -> None:
    assert ratio_of_means([1.0, 2.0], 1.0, **ALPHAS) is None
    assert ratio_of_means([1.0, 2.0, 3.0], [1.0, 2.0], **ALPHAS) is None
    assert ratio_of_means([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], **ALPHAS) is not None
    sure = ratio_of_means([2.0, 2.0, 2.0], [4.0, 4.0, 4.0], **ALPHAS)
    assert sure is not None
    assert (sure.value, sure.low, sure.high, sure.fail_high) == (0.5, 0.5, 0.5, 0.5)
