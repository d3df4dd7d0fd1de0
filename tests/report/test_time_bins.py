"""A run over time: every bin against counting by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import OUTCOME_NAMES, SAMPLE_DTYPE, Outcome, Phase, Samples
from proofload.report.reduce.time_bins import TimeBins

START = 5 * NS_PER_S
LONGEST_S = 5.0
"""No request takes longer."""
TIMED = (Outcome.OK, Outcome.WRONG, Outcome.LATE, Outcome.TIMEOUT)


def a_phase(index: int = 0, seconds: float = 7.3, after_s: float = 0.0, n: int = 3000) -> tuple[Phase, Samples]:
    rng = np.random.default_rng(index)
    start = START + round(after_s * NS_PER_S)
    table: NDArray[Any] = np.zeros(n, SAMPLE_DTYPE)
    table["intended_ns"] = start + np.sort(rng.integers(0, round(seconds * NS_PER_S), n))
    took_ms = np.minimum(rng.lognormal(4, 1, n), LONGEST_S * 1000)
    table["done_ns"] = table["intended_ns"] + (took_ms * NS_PER_MS).astype(np.int64)
    table["outcome"] = rng.integers(0, len(OUTCOME_NAMES), n)
    table["done_ns"][table["outcome"] == Outcome.UNSENT] = 0
    return Phase(index, f"phase {index}", "poisson", n / seconds, seconds, n, start), Samples(table)


def test_every_bin_is_what_counting_gives() -> None:
    both = [a_phase(0), a_phase(1, after_s=9.0, n=300)]
    bins = TimeBins([phase for phase, _ in both], LONGEST_S)
    for phase, samples in reversed(both):
        bins.add(phase, samples)
    series = bins.series()
    assert series is not None
    edges = np.round(series.edges_s * NS_PER_S).astype(np.int64) + bins.start_ns
    widths = np.diff(edges) / NS_PER_S
    table = np.concatenate([samples.table for _, samples in both])
    ended = np.where(table["done_ns"] > 0, table["done_ns"], table["intended_ns"])
    for number, (low, high) in enumerate(pairwise(edges.tolist())):
        due = (table["intended_ns"] >= low) & (table["intended_ns"] < high)
        assert series.due_rps[number] == pytest.approx(np.count_nonzero(due) / widths[number])
        there = (ended >= low) & (ended < high)
        for outcome, name in enumerate(OUTCOME_NAMES):
            seen = np.count_nonzero(there & (table["outcome"] == outcome))
            assert series.ended_rps[name][number] == pytest.approx(seen / widths[number])
    assert (series.due_rps * widths).sum() == pytest.approx(len(table))
    assert sum((rate * widths).sum() for rate in series.ended_rps.values()) == pytest.approx(len(table))


@pytest.mark.parametrize("n", [40_000, 300])
def test_the_latency_of_a_bin_is_that_of_the_answers_due_in_it(n: int) -> None:
    phase, samples = a_phase(n=n)
    bins = TimeBins([phase], LONGEST_S)
    bins.add(phase, samples)
    series = bins.series()
    assert series is not None
    (latency,) = series.latency
    edges = np.round(series.edges_s * NS_PER_S).astype(np.int64) + bins.start_ns
    table = samples.table[np.isin(samples.outcome, TIMED)]
    few = 0
    for number in range(len(latency.t_s)):
        low, high = edges[number : number + 2]
        assert latency.t_s[number] == pytest.approx(((low + high) / 2 - bins.start_ns) / NS_PER_S)
        due = table[(table["intended_ns"] >= low) & (table["intended_ns"] < high)]
        took = due["done_ns"] - due["intended_ns"]
        took = np.sort(np.where(due["outcome"] == Outcome.TIMEOUT, LONGEST_S * NS_PER_S, took)) / NS_PER_MS
        assert latency.n[number] == len(took)
        assert latency.highest[number] == pytest.approx(took[-1])
        assert latency.p50[number] == pytest.approx(took[int(np.ceil(len(took) * 0.5)) - 1])
        few += len(took) < 100
        p99 = took[int(np.ceil(len(took) * 0.99)) - 1] if len(took) >= 100 else np.nan
        assert latency.p99[number] == pytest.approx(p99, nan_ok=True)
    assert bool(few) == (n == 300), "both kinds of bin are looked at"


def test_answers_are_counted_when_they_come() -> None:
    phase, samples = a_phase(seconds=4.0, n=4000)
    samples.table["intended_ns"] = START + np.arange(4000) * NS_PER_MS
    samples.table["outcome"] = Outcome.OK
    samples.table["done_ns"] = samples.table["intended_ns"] + 1500 * NS_PER_MS
    bins = TimeBins([phase], LONGEST_S)
    bins.add(phase, samples)
    series = bins.series()
    assert series is not None
    before = series.edges_s[1:] <= 1.5
    assert before.any()
    assert not series.ended_rps["ok"][before].any()
    assert series.due_rps[before] == pytest.approx(1000.0)


def test_nothing_is_no_series() -> None:
    phase, samples = a_phase(n=1)
    assert TimeBins([], None).series() is None
    bins = TimeBins([phase], None)
    bins.add(phase, Samples(samples.table[:0]))
    assert bins.series() is None
