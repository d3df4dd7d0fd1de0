"""The load procedure against simulated targets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload.judging import judge
from proofload.procedures import load
from proofload.records import Result, Status
from proofload.scenarios import Scenario
from proofload.store.record import RunRecord
from proofload.testing.simulated_bench import Target, queue, simulated_run

Make = Callable[..., Scenario]
MS = 1_000_000


def loaded(path: Path, scenario: Scenario, target: Target, **options: Any) -> Result:
    with simulated_run(path, scenario, target, **options) as bench:
        load.create().conduct(bench, scenario)
    return judge(RunRecord(path))


def cold(due_ns: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Ten times as slow in its first two seconds."""
    took = rng.lognormal(np.log(5 * MS), 0.3, len(due_ns))
    return np.where(due_ns < 2e9, 10 * took, took).astype(np.int64)


def test_a_queue_within_its_limits_passes_with_the_latencies_of_theory(tmp_path: Path, load_scenario: Make) -> None:
    result = loaded(tmp_path, load_scenario(rate_rps=500, duration_s=120, slo={"p99_ms": 20}), queue(0.001))
    assert result.status is Status.PASS
    [phase] = result.phases
    for name, share in (("p50", 0.5), ("p90", 0.1), ("p99", 0.01)):  # M/M/1 at μ − λ = 500/s
        assert phase.latency.quantiles[name].value == pytest.approx(-np.log(share) / 500 * 1e3, rel=0.06)
    assert phase.offered_rps == pytest.approx(500, rel=0.02)
    assert sum(phase.outcomes.values()) + phase.excluded == phase.planned


@pytest.mark.parametrize(
    ("arrival", "shape"), [("step", {"steps": [[50, 5], [150, 5]]}), ("trace", {"file": "trace.csv"})]
)
def test_rates_are_those_of_the_time_when_there_was_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_scenario: Make, arrival: str, shape: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("trace.csv").write_text("".join(f"{number / 100}\n" for number in range(1000)), encoding="utf-8")
    scenario = load_scenario(arrival=arrival, shape=shape, duration_s=30, slo={"p99_ms": 20})
    [phase] = loaded(tmp_path / "run", scenario, queue(0.001)).phases
    assert phase.planned == 1000
    assert phase.duration_s == pytest.approx(10.0)
    assert phase.offered_rps == pytest.approx(100.0)


def test_a_limit_that_is_broken_fails(tmp_path: Path, load_scenario: Make) -> None:
    result = loaded(tmp_path, load_scenario(rate_rps=500, duration_s=60, slo={"p99_ms": 5}), queue(0.001))
    assert result.status is Status.FAIL
    assert {check.name: check.status for check in result.checks}["p99"] is Status.FAIL
    assert {check.name: check.status for check in result.checks}["ok_share"] is Status.PASS


def test_too_few_answers_settle_nothing(tmp_path: Path, load_scenario: Make) -> None:
    result = loaded(tmp_path, load_scenario(rate_rps=50, duration_s=2, slo={"p99_ms": 20}), queue(0.001))
    assert result.status is Status.INCONCLUSIVE
    assert all(check.settle for check in result.checks if check.status is Status.INCONCLUSIVE)


def test_a_warm_up_is_found_left_out_and_told(tmp_path: Path, load_scenario: Make) -> None:
    result = loaded(tmp_path, load_scenario(rate_rps=200, duration_s=60, slo={"p99_ms": 20}), cold)
    assert result.status is Status.PASS
    assert result.warmup["excluded"] == pytest.approx(400, rel=0.25)
    assert "left out" in result.warmup["detail"]


def test_a_warm_up_of_a_given_length_is_a_phase_that_no_limit_binds(tmp_path: Path, load_scenario: Make) -> None:
    scenario = load_scenario(rate_rps=200, duration_s=60, warmup_s=3, slo={"p99_ms": 20})

    def cold_once(due_ns: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        return cold(due_ns if len(due_ns) < 1000 else due_ns + 10**10, rng)

    result = loaded(tmp_path, scenario, cold_once)
    assert [(phase.name, phase.measured) for phase in result.phases] == [("warm-up", False), ("load", True)]
    assert (result.status, result.warmup["excluded"]) == (Status.PASS, 0)


def test_answers_after_the_deadline_are_late_and_those_after_the_timeout_never_came(
    tmp_path: Path, load_scenario: Make
) -> None:
    def three_kinds(due_ns: NDArray[np.int64], _: np.random.Generator) -> NDArray[np.int64]:
        return np.array([10 * MS, 300 * MS, 5000 * MS])[np.arange(len(due_ns)) % 3]

    scenario = load_scenario(arrival="constant", rate_rps=300, duration_s=10, timeout_s=1, slo={"deadline_ms": 100})
    result = loaded(tmp_path, scenario, three_kinds)
    outcomes = {name: count for name, count in result.phases[0].outcomes.items() if count}
    assert outcomes == {"ok": 1000, "late": 1000, "timeout": 1000}
    assert result.status is Status.FAIL
    p99 = result.phases[0].latency.quantiles["p99"]
    assert p99.censored
    assert p99.value == 1000.0


def test_a_late_client_makes_it_invalid(tmp_path: Path, load_scenario: Make) -> None:
    result = loaded(tmp_path, load_scenario(rate_rps=200, duration_s=10), queue(0.001), lag_ns=5 * MS)
    assert result.status is Status.INVALID
    assert "send-lag" in {item.code for item in result.validity if not item.ok}


def test_the_ring_has_room_for_the_busiest_second(load_scenario: Make) -> None:
    procedure = load.create()
    assert procedure.peak_rps(load_scenario(arrival="constant", rate_rps=100)) >= 100
    assert procedure.peak_rps(load_scenario(arrival="poisson", rate_rps=100, duration_s=1e6)) >= 140
    ramp = load_scenario(arrival="ramp", rate_rps=100, duration_s=10, shape={"to_rps": 1000})
    assert 900 <= procedure.peak_rps(ramp) <= 1100
