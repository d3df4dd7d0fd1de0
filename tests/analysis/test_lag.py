"""How late the client may send: a tenth of the latency, at least a millisecond, percentile by percentile."""

from __future__ import annotations

import numpy as np
import pytest

from proofload.analysis.lag import breaches, permitted_ms, plain_percentiles, withhold_lagging
from proofload.analysis.percentiles import distribution
from proofload.clock import NS_PER_MS


@pytest.mark.parametrize(("latency_ms", "lag_ms"), [(0.0, 1.0), (10.0, 1.0), (50.0, 5.0)])
def test_a_tenth_and_at_least_a_millisecond_is_permitted(latency_ms: float, lag_ms: float) -> None:
    assert permitted_ms(latency_ms) == lag_ms
    assert breaches({"p99": lag_ms}, {"p99": latency_ms}) == {}
    assert breaches({"p99": lag_ms + 0.001}, {"p99": latency_ms}) == {"p99": lag_ms}


def test_without_a_latency_only_the_millisecond_is_permitted() -> None:
    assert breaches({"p50": 1.5, "p99": 0.5}, {}) == {"p50": 1.0}


def test_percentiles_of_the_client_are_nearest_rank_however_few_there_are() -> None:
    found = plain_percentiles(np.arange(100, 0, -1) * NS_PER_MS)
    assert (found["p50"], found["p90"], found["p95"], found["p99"], found["p99_9"]) == (50.0, 90.0, 95.0, 99.0, 100.0)
    assert plain_percentiles(np.array([3 * NS_PER_MS]))["p99_99"] == 3.0
    assert plain_percentiles(np.zeros(0, np.int64)) == {}


def test_only_deep_percentiles_that_the_lag_reaches_are_withheld() -> None:
    latency = np.full(400_000, 5 * NS_PER_MS)
    lag = np.zeros(400_000, np.int64)
    lag[:100] = 3 * NS_PER_MS  # one in four thousand: p99.99 and not p99.9
    whole = distribution(latency)
    shown = withhold_lagging(whole, latency, lag)
    assert whole.quantiles["p99_99"].value == 5.0
    assert shown.quantiles["p99_99"].value is None
    assert (shown.quantiles["p99_99"].interval.low, shown.quantiles["p99_99"].interval.high) == (None, None)
    assert shown.quantiles["p99_9"] == whole.quantiles["p99_9"]
    assert shown.n == whole.n
    late = np.full(400_000, 3 * NS_PER_MS)
    assert withhold_lagging(whole, latency, late).quantiles["p99"].value == 5.0  # that is for validity to say
    assert withhold_lagging(whole, latency, lag[:5]) is whole
