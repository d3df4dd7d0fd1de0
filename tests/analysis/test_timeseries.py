"""A phase second by second: each column against counting by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload.analysis.timeseries import P99_NEEDS, timeseries
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import OUTCOME_NAMES, SAMPLE_DTYPE, Outcome, Samples

START = 5 * NS_PER_S


def random_run(n: int = 3000, seconds: float = 7.3) -> Samples:
    rng = np.random.default_rng(1)
    table: NDArray[Any] = np.zeros(n, SAMPLE_DTYPE)
    table["intended_ns"] = START + np.sort(rng.integers(0, round(seconds * NS_PER_S), n))
    table["dispatched_ns"] = table["intended_ns"]
    table["done_ns"] = table["intended_ns"] + (rng.lognormal(4, 1, n) * NS_PER_MS).astype(np.int64)
    table["outcome"] = rng.integers(0, len(OUTCOME_NAMES), n)
    return Samples(table)


@pytest.mark.parametrize("bin_s", [1.0, 0.5, 2.0])
def test_every_column_is_what_counting_gives(bin_s: float) -> None:
    samples = random_run()
    series = timeseries(samples, bin_s)
    table = samples.table
    start, width = int(table["intended_ns"][0]), round(bin_s * NS_PER_S)
    bins = (max(int(table["done_ns"].max()), int(table["intended_ns"][-1])) - start) // width + 1
    assert (series.start_ns, series.bin_s) == (start, bin_s)
    for column in (series.t_s, series.planned, series.p50_ms, series.p99_ms, series.goodput_rps,
                   *series.outcomes.values()):  # fmt: skip
        assert len(column) == bins
    for number in range(bins):
        assert series.t_s[number] == number * bin_s
        due = table[(table["intended_ns"] - start) // width == number]
        done = table[(table["done_ns"] - start) // width == number]
        assert series.planned[number] == len(due)
        for outcome, name in enumerate(OUTCOME_NAMES):
            assert series.outcomes[name][number] == np.count_nonzero(due["outcome"] == outcome)
        assert series.goodput_rps[number] == np.count_nonzero(done["outcome"] == Outcome.OK) / bin_s
        timed = due[np.isin(due["outcome"], (Outcome.OK, Outcome.WRONG, Outcome.LATE, Outcome.TIMEOUT))]
        took = np.sort(timed["done_ns"] - timed["intended_ns"]) / NS_PER_MS
        if not len(took):
            assert np.isnan(series.p50_ms[number])
        else:
            assert series.p50_ms[number] == took[int(np.ceil(len(took) * 0.5)) - 1]
        if len(took) < P99_NEEDS:
            assert np.isnan(series.p99_ms[number])
        else:
            assert series.p99_ms[number] == took[int(np.ceil(len(took) * 0.99)) - 1]


def test_bins_may_begin_before_or_after_the_first_request() -> None:
    samples = random_run()
    first = int(samples.table["intended_ns"][0])
    early = timeseries(samples, start_ns=first - 2 * NS_PER_S)
    assert early.planned[:2].tolist() == [0, 0]
    assert early.planned.sum() == len(samples)
    late = timeseries(samples, start_ns=first + 2 * NS_PER_S)
    left_out = np.count_nonzero(samples.table["intended_ns"] < first + 2 * NS_PER_S)
    assert late.planned.sum() == len(samples) - left_out
    assert sum(column.sum() for column in late.outcomes.values()) == len(samples) - left_out
    done = samples.table["done_ns"][samples.table["outcome"] == Outcome.OK]
    assert late.goodput_rps.sum() == np.count_nonzero(done >= first + 2 * NS_PER_S)


def test_one_second_is_the_bin_and_one_of_nothing_is_refused() -> None:
    assert timeseries(random_run()).bin_s == 1.0
    for nothing in (0.0, -1.0):
        with pytest.raises(ValueError, match="must be positive"):
            timeseries(random_run(), nothing)
    empty = timeseries(Samples(np.zeros(0, SAMPLE_DTYPE)), start_ns=START)
    assert empty.start_ns == START
    assert timeseries(Samples(np.zeros(0, SAMPLE_DTYPE))).start_ns == 0
    assert set(empty.outcomes) == set(OUTCOME_NAMES)


def test_a_single_request_has_one_bin() -> None:
    series = timeseries(Samples(random_run().table[:1]), 60.0)
    assert series.planned.tolist() == [1]
