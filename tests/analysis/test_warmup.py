"""Warm-up: found where there is one, not found where there is none, never a stretch that is better."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal, stats

from proofload.analysis.warmup import ALPHA, FIRST, Warmup, _stands_out, warmup_end

MS = 1_000_000
S = 1_000_000_000


def autoregressive(rng: np.random.Generator, n: int, phi: float) -> NDArray[np.float64]:
    """Standard normal AR(1): the logarithm of a latency with a memory."""
    start = rng.normal()
    noise = rng.normal(0, np.sqrt(1 - phi**2), n)
    filtered, _ = signal.lfilter([1.0], [1.0, -phi], noise, zi=np.array([phi * start]))
    return np.asarray(filtered)


def find(log_latency: NDArray[np.float64], ok: Any = None, rate: int = 100) -> Warmup:
    n = len(log_latency)
    intended = S + np.arange(n, dtype=np.int64) * (S // rate)
    mask = np.ones(n, dtype=np.bool_) if ok is None else ok
    return warmup_end(intended, (np.exp(log_latency) * 10 * MS).astype(np.int64), mask)


def cut_s(warmup: Warmup) -> float:
    return (warmup.cut_ns - S) / S if warmup.cut_ns else 0.0


@pytest.mark.parametrize("phi", [0.0, 0.9, 0.99, 0.999])
def test_a_steady_run_keeps_its_start_whatever_the_correlation(phi: float) -> None:
    rng = np.random.default_rng(1)
    repeats = 500
    found = sum(find(0.5 * autoregressive(rng, 3000, phi)).cut_ns > 0 for _ in range(repeats))
    assert found <= stats.binom.isf(0.001, repeats, ALPHA)


def test_a_slow_first_tenth_is_left_out_and_little_more() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        log = 0.5 * autoregressive(rng, 6000, 0.5)
        log[:600] += 1.0
        assert cut_s(find(log)) == pytest.approx(6.0, abs=0.7)


def test_a_start_that_fades_is_left_out_at_least_where_it_hurts() -> None:
    rng = np.random.default_rng(3)
    log = 0.4 * autoregressive(rng, 6000, 0.5) + 2.5 * np.exp(-np.arange(6000) / 200)
    assert 2.0 < cut_s(find(log)) <= 12.0


def test_a_few_very_slow_first_requests_are_found() -> None:
    rng = np.random.default_rng(4)
    log = 0.3 * autoregressive(rng, 6000, 0.0)
    log[:8] += 5.0
    assert 0 < cut_s(find(log)) < 1.0


def test_a_better_start_is_never_left_out() -> None:
    rng = np.random.default_rng(5)
    for _ in range(100):
        log = 0.5 * autoregressive(rng, 3000, 0.9)
        log[:300] -= 1.0
        assert find(log).cut_ns == 0


def test_a_slow_start_with_the_better_ok_share_is_kept() -> None:
    rng = np.random.default_rng(6)
    log = 0.3 * autoregressive(rng, 4000, 0.0)
    log[:400] += 4.0
    ok = np.ones(4000, dtype=np.bool_)
    ok[400:] = rng.random(3600) > 0.05
    assert find(log, ok).cut_ns == 0


def test_what_happens_again_later_is_no_warm_up() -> None:
    rng = np.random.default_rng(7)
    log = 0.3 * autoregressive(rng, 6000, 0.0)
    for start in (0, 2000, 4000):
        log[start : start + 200] += 2.0
    assert find(log).cut_ns == 0


def test_a_server_that_slows_down_keeps_all_of_its_run() -> None:
    rng = np.random.default_rng(8)
    assert find(0.3 * autoregressive(rng, 6000, 0.5) + np.linspace(0, 2, 6000)).cut_ns == 0


def test_errors_at_the_start_are_warm_up_and_their_latency_does_not_count() -> None:
    rng = np.random.default_rng(9)
    log = 0.3 * autoregressive(rng, 6000, 0.0)
    ok = np.ones(6000, dtype=np.bool_)
    ok[:300] = False
    log[:300] = -5.0  # refused at once
    assert cut_s(find(log, ok)) == pytest.approx(3.0, abs=0.7)


def test_never_more_than_the_first_fifth() -> None:
    rng = np.random.default_rng(10)
    log = 0.3 * autoregressive(rng, 5000, 0.5)
    log[:2500] += 2.0
    assert cut_s(find(log)) <= FIRST * 50.0


def test_too_few_requests_tell_nothing() -> None:
    assert find(np.linspace(5, 0, 60)).cut_ns == 0
    assert find(np.zeros(0)).cut_ns == 0


def test_nothing_ok_tells_nothing() -> None:
    assert find(np.zeros(1000), np.zeros(1000, dtype=np.bool_)).cut_ns == 0


def test_identical_latencies_have_no_warm_up() -> None:
    assert find(np.zeros(5000)).cut_ns == 0


@pytest.mark.parametrize("stretches", [3, 5])
def test_a_start_like_the_rest_stands_out_as_seldom_as_stated_among_few_stretches(stretches: int) -> None:
    rng = np.random.default_rng(11)
    repeats = 6000
    found = sum(_stands_out(rng.normal(size=4 * (stretches + 1)), 4, ALPHA) for _ in range(repeats))
    assert stats.binom.ppf(1e-4, repeats, ALPHA) <= found <= stats.binom.isf(1e-4, repeats, ALPHA)
