"""The capacity procedure against queues whose capacity is known, in virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload.analysis.capacity import CapacitySearch
from proofload.judging import judge
from proofload.procedures import capacity
from proofload.records import Result, Status
from proofload.store.record import RunRecord
from proofload.store.result_json import result_to_json
from proofload.testing.simulated_bench import SimulatedBench, Target, queue, simulated_run

Make = Callable[..., capacity.Settings]
SERVICE_S = 0.001
P99_MS = 50.0
TRUTH_RPS = 1 / SERVICE_S - math.log(100) / (P99_MS / 1e3)
"""Time in an M/M/1 system is exponential with rate μ − λ."""


def conducted(path: Path, settings: capacity.Settings, target: Target, **options: Any) -> tuple[Result, SimulatedBench]:
    with simulated_run(path, settings, target, **options) as bench:
        capacity.create().conduct(bench, settings)
    return judge(RunRecord(path)), bench


@pytest.fixture
def settings(capacity_scenario: Make) -> capacity.Settings:
    slo = {"p99_ms": P99_MS, "ok_share": 0.99}
    return capacity_scenario(
        start_rps=50.0, max_rps=4000.0, step_s=10.0, confirm_s=120.0, timeout_s=2.0, resolution=0.05, slo=slo
    )


def test_the_search_finds_what_a_queue_can_hold_and_confirms_it(tmp_path: Path, settings: capacity.Settings) -> None:
    result, bench = conducted(tmp_path, settings, queue(SERVICE_S))
    found = result.capacity
    assert found is not None
    assert found.rate_rps is not None
    assert found.confirmed
    assert result.status is Status.PASS
    assert 0.8 * TRUTH_RPS <= found.rate_rps <= 1.02 * TRUTH_RPS
    assert found.interval.high is None or found.interval.high >= 0.98 * TRUTH_RPS
    assert found.knee_rps is not None
    purposes = [stretch.name.partition(" ")[0] for stretch in bench.loads if stretch.name[0] != "r"]
    assert purposes == sorted(purposes, reverse=True)  # all searching comes before confirming


@pytest.mark.parametrize("seed", range(1, 9))
def test_no_rate_beyond_the_truth_is_confirmed(tmp_path: Path, settings: capacity.Settings, seed: int) -> None:
    short = settings.model_copy(update={"seed": 1000 * seed, "step_s": 4.0, "confirm_s": 60.0, "resolution": 0.1})
    result, _ = conducted(tmp_path, short, queue(SERVICE_S))
    assert result.capacity is not None
    if result.capacity.confirmed:
        assert result.capacity.rate_rps is not None
        assert result.capacity.rate_rps <= TRUTH_RPS * 1.02


def test_the_folder_says_what_the_search_saw(
    tmp_path: Path, settings: capacity.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[CapacitySearch] = []

    class Watched(CapacitySearch):
        def __init__(self, *words: Any, **options: Any) -> None:
            super().__init__(*words, **options)
            searches.append(self)

    monkeypatch.setattr(capacity, "CapacitySearch", Watched)
    result, _ = conducted(tmp_path, settings, queue(SERVICE_S))
    seen, judged = (search.answer() for search in searches)
    assert seen == judged == result.capacity


def test_judging_twice_gives_the_same(tmp_path: Path, settings: capacity.Settings) -> None:
    result, _ = conducted(tmp_path, settings, queue(SERVICE_S, exponential=False))
    assert result_to_json(judge(RunRecord(tmp_path))) == result_to_json(result)


def test_a_target_that_holds_the_highest_rate_is_said_to_hold_at_least_that(
    tmp_path: Path, settings: capacity.Settings
) -> None:
    result, _ = conducted(tmp_path, settings.model_copy(update={"max_rps": 300.0}), queue(SERVICE_S))
    assert result.capacity is not None
    assert result.capacity.rate_rps == 300.0
    assert result.capacity.confirmed
    assert result.capacity.censored == "max_rate"
    assert result.capacity.interval.high is None


def test_a_target_that_holds_no_rate_fails(tmp_path: Path, settings: capacity.Settings) -> None:
    def too_slow(due_ns: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        return rng.integers(200_000_000, 300_000_000, len(due_ns))

    result, _ = conducted(tmp_path, settings, too_slow)
    assert result.capacity is not None
    assert result.capacity.rate_rps is None
    assert result.status is Status.FAIL
    assert result.cost is None


def test_a_client_that_is_always_late_finds_no_capacity_of_the_target(
    tmp_path: Path, settings: capacity.Settings
) -> None:
    quick = queue(SERVICE_S / 10, exponential=False)
    result, _ = conducted(tmp_path, settings.model_copy(update={"max_rps": 400.0}), quick, lag_ns=5_000_000)
    assert result.status is Status.INVALID
    assert result.capacity is not None
    assert not result.capacity.confirmed


def test_a_search_that_is_interrupted_is_invalid_and_keeps_its_steps(
    tmp_path: Path, settings: capacity.Settings
) -> None:
    class Impatient(SimulatedBench):
        def pause(self, seconds: float) -> None:
            super().pause(seconds)
            if len(self.loads) == 3:
                raise KeyboardInterrupt

    with (  # noqa: PT012  the run is what is interrupted
        pytest.raises(KeyboardInterrupt),
        simulated_run(tmp_path, settings, queue(SERVICE_S)) as bench,
    ):
        bench.__class__ = Impatient
        capacity.create().conduct(bench, settings)
    result = judge(RunRecord(tmp_path))
    assert result.status is Status.INVALID
    assert [item.code for item in result.validity if not item.ok] == ["interrupted"]
    assert result.capacity is not None
    assert [step["rate_rps"] for step in result.capacity.steps] == [50.0, 100.0, 200.0]
    assert len(result.phases) == 3
