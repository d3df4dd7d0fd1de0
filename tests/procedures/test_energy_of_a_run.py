"""Energy from a run folder: readings of the GPU probe beside the samples of a simulated run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from proofload.clock import NS_PER_S
from proofload.judging import judge
from proofload.procedures import load
from proofload.scenarios import Scenario
from proofload.store.record import RunRecord, Series
from proofload.testing.simulated_bench import queue, simulated_run

Make = Callable[..., Scenario]
WATTS = 240.0
RATE = 200


class Read(RunRecord):
    """A record with readings of the GPU probe, every half second from before the load to after it."""

    def __init__(self, path: Path, **values: Callable[[np.ndarray[Any, Any]], Any]) -> None:
        super().__init__(path)
        self._values = values

    def readings(self) -> dict[tuple[int, str, str], Series]:
        first = self.phases[0]
        start_ns, length_s = first.start_ns - 5 * NS_PER_S, first.duration_s + 10
        seconds = np.arange(0.0, length_s, 0.5)
        t_ns = (start_ns + seconds * NS_PER_S).astype(np.int64)
        return {(0, "gpu", name): Series(t_ns, of(seconds - 5.0) * 1.0) for name, of in self._values.items()}


@pytest.fixture
def folder(tmp_path: Path, load_scenario: Make) -> Path:
    scenario = load_scenario(rate_rps=RATE, duration_s=60, warmup_s=0, slo={"p99_ms": 20})
    with simulated_run(tmp_path, scenario, queue(0.001)) as bench:
        load.create().conduct(bench, scenario)
    return tmp_path


def loaded_from(second: Any) -> Any:
    """60 W at rest, 240 W under load."""
    return np.where((second >= 0) & (second <= 60), WATTS, 60.0)


def test_a_run_whose_boards_were_read_tells_energy_and_the_part_at_rest(folder: Path) -> None:
    counter = lambda second: 1000.0 + WATTS * second  # noqa: E731
    result = judge(Read(folder, energy_j=counter, power_w=loaded_from))
    assert result.cost is not None
    energy = result.cost.energy
    assert energy is not None
    assert energy.by == "counter"
    assert energy.per_million_j == pytest.approx(1e6 * WATTS / RATE, rel=0.02)
    assert energy.mean_w == pytest.approx(WATTS)
    assert energy.idle_share == pytest.approx(0.25)
    assert energy.interval.low is not None
    assert energy.interval.low < energy.per_million_j
    for words in ("own counter", "at rest they take 60 W, 25 % of it", "the rest of the machine is not in it"):
        assert words in energy.detail
    assert "others" not in energy.detail


def test_without_a_counter_power_is_integrated_and_neighbours_are_told(folder: Path) -> None:
    result = judge(Read(folder, power_w=loaded_from, neighbours=lambda second: 0 * second + 2))
    assert result.cost is not None
    assert result.cost.energy is not None
    assert result.cost.energy.per_million_j == pytest.approx(1e6 * WATTS / RATE, rel=0.02)
    assert "joined by straight lines" in result.cost.energy.detail
    assert "processes of others were on the same boards" in result.cost.energy.detail


def test_without_a_board_that_was_read_no_energy_is_told(folder: Path) -> None:
    for record in (RunRecord(folder), Read(folder, utilisation=lambda second: 0.5 + 0 * second)):
        result = judge(record)
        assert result.cost is not None
        assert result.cost.energy is None
