"""Arrival processes: right counts, right instants, the same for the same seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from proofload.discovery import implementations, module_for
from proofload.engine.schedule import PhasePlan, share
from proofload.errors import InputError
from proofload.workloads.arrivals import ArrivalSpec, step
from proofload.workloads.arrivals import trace as trace_arrivals

SHAPES: dict[str, dict[str, Any]] = {"ramp": {"to_rps": 900.0}, "step": {"steps": [[100, 2], [400, 1]]}}


def due(name: str, rate: float = 200.0, duration: float = 3.0, seed: int = 7, **shape: Any) -> NDArray[np.int64]:
    blocks = list(module_for("arrival", name).create(ArrivalSpec(name, rate, duration, seed, shape)))
    return np.concatenate(blocks) if blocks else np.empty(0, dtype=np.int64)


@pytest.mark.parametrize("name", sorted(set(implementations("arrival")) - {"trace"}))
def test_due_times_never_decrease_and_stay_below_the_duration(name: str) -> None:
    times = due(name, **SHAPES.get(name, {}))
    assert len(times) > 100
    assert np.all(np.diff(times) >= 0)
    assert times[0] >= 0
    assert times[-1] < 3e9


@pytest.mark.parametrize("name", sorted(set(implementations("arrival")) - {"trace"}))
def test_the_same_seed_gives_the_same_schedule(name: str) -> None:
    shape = SHAPES.get(name, {})
    assert np.array_equal(due(name, **shape), due(name, **shape))


def test_constant_keeps_its_instants_after_a_million_requests() -> None:
    times = due("constant", rate=3000.0, duration=400.0)
    assert len(times) == 1_200_000
    assert times[-1] == round(1_199_999 / 3000 * 1e9)


def test_poisson_gaps_are_exponential_and_counts_have_the_rate() -> None:
    times = due("poisson", rate=1000.0, duration=60.0)
    assert abs(len(times) - 60_000) < 5 * np.sqrt(60_000)
    gaps = np.diff(times) / 1e9
    assert stats.kstest(gaps, "expon", args=(0, 1 / 1000)).pvalue > 0.001


def test_another_seed_gives_another_poisson_schedule() -> None:
    assert not np.array_equal(due("poisson", seed=1)[:100], due("poisson", seed=2)[:100])


def test_a_ramp_reaches_its_final_rate() -> None:
    times = due("ramp", rate=100.0, duration=10.0, to_rps=1000.0) / 1e9
    assert len(times) == pytest.approx(5500, abs=2)
    last_second = np.count_nonzero(times >= 9.0)
    assert last_second == pytest.approx(955, abs=3)


def test_a_ramp_may_fall_to_almost_nothing() -> None:
    times = due("ramp", rate=100.0, duration=10.0, to_rps=0.001) / 1e9
    assert len(times) == pytest.approx(500, abs=2)
    assert np.count_nonzero(times < 1.0) == pytest.approx(95, abs=2)


def test_steps_have_their_own_rates() -> None:
    times = due("step", duration=4.0, steps=[[100, 1], [300, 2], [50, 1]]) / 1e9
    counts = np.histogram(times, bins=[0, 1, 3, 4])[0]
    assert counts.tolist() == [100, 600, 50]


def test_steps_end_and_so_does_a_trace_a_mean_gap_after_its_last(tmp_path: Path) -> None:
    (trace := tmp_path / "trace.csv").write_text("10\n12\n11\n")
    (alone := tmp_path / "alone.csv").write_text("10\n")
    assert step.ends_s(ArrivalSpec("step", 1.0, 60.0, shape={"steps": [[5, 10], [1, 2.5]]})) == 12.5
    assert trace_arrivals.ends_s(ArrivalSpec("trace", 1.0, 60.0, shape={"file": str(trace), "speed": 2})) == 1.5
    assert trace_arrivals.ends_s(ArrivalSpec("trace", 1.0, 60.0, shape={"file": str(alone)})) == 60.0


def test_a_trace_is_played_as_recorded_and_can_be_played_faster(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("seconds\n10.5\n10.0\n12.0\n")
    assert due("trace", file=str(trace)).tolist() == [0, 500_000_000, 2_000_000_000]
    assert due("trace", file=str(trace), speed=2).tolist() == [0, 250_000_000, 1_000_000_000]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("constant", {"to_rps": 3}),
        ("ramp", {}),
        ("ramp", {"to_rps": -1}),
        ("ramp", {"to_rps": 5, "spacing": "odd"}),
        ("step", {"steps": []}),
        ("step", {"steps": [[1, 2, 3]]}),
        ("step", {"steps": [[0, 2]]}),
        ("trace", {"file": "/nowhere/at/all"}),
        ("trace", {}),
    ],
)
def test_a_shape_that_cannot_be_followed_is_refused(name: str, shape: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        due(name, **shape)


def test_a_trace_line_that_is_no_number_is_named(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("1.0\nsoon\n")
    with pytest.raises(InputError, match=r"trace\.csv:2"):
        due("trace", file=str(trace))


@settings(max_examples=30, deadline=None)
@given(workers=st.integers(1, 7), seed=st.integers(0, 2**31), name=st.sampled_from(["constant", "poisson", "step"]))
def test_the_shares_of_all_workers_are_the_whole_schedule_once(workers: int, seed: int, name: str) -> None:
    plan = PhasePlan(0, "p", name, 2000.0, 3.0, seed, SHAPES.get(name, {}))
    whole = list(share(plan, payloads=50, worker=0, workers=1))
    split = [block for worker in range(workers) for block in share(plan, payloads=50, worker=worker, workers=workers)]
    order = np.argsort(np.concatenate([block.seq for block in split]))
    for column in ("seq", "due_ns", "payload"):
        together = np.concatenate([getattr(block, column) for block in split])[order]
        assert np.array_equal(together, np.concatenate([getattr(block, column) for block in whole]))
