"""The soak procedure against simulated targets whose resources are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from proofload.judging import judge
from proofload.procedures import soak
from proofload.procedures._soak import allotment
from proofload.records import Check, Result, Status
from proofload.report.numbers import significant
from proofload.report.sections import report_document
from proofload.report.view import view
from proofload.store.record import RunRecord
from proofload.store.result_json import result_to_json
from proofload.testing.simulated_bench import Target, queue, simulated_run

MIB = 2.0**20
Series = Mapping[str, Callable[[float], float]]
RATE, MAIN_S = 300.0, 38.0
_LAX = {"p95_ms": 500, "ok_share": 0.99}
HEALTHY: Series = {
    "uss_bytes": lambda t: 90 * MIB + 0.1 * MIB * np.sin(5 * t),
    "fds": lambda t: 21.0,
    "threads": lambda t: 12.0,
    "sockets": lambda t: 7.0,
    "fds_of_limit": lambda t: 0.02,
    "births": lambda t: 0.0,
}


def settings(**changes: Any) -> soak.Settings:
    quick = {"rate_rps": RATE, "duration_s": MAIN_S, "horizon_h": 0.1, "another_s": 5, "idle_s": 5, "timeout_s": 1.0}
    return soak.Settings.model_validate(
        {"name": "soak", "procedure": "soak", **quick, "slo": {"p95_ms": 500}, **changes}
    )


def served(t: float) -> float:
    """Requests served by then: the main stretch at the rate, the other one at a quarter of it, then none."""
    return RATE * (min(t, MAIN_S) + 0.25 * min(max(t - MAIN_S - 1.0, 0.0), 5.0))


def soaked(
    path: Path, series: Series, *, target: Target | None = None, scenario: soak.Settings | None = None
) -> Result:
    scenario = scenario or settings()
    with simulated_run(path, scenario, target or queue(0.0005)) as bench:
        soak.create().conduct(bench, scenario)
        for name, values in series.items():
            bench.probed("process", name, values)
    return judge(RunRecord(path))


def piling(base: Callable[[float], float], each: float) -> Callable[[float], float]:
    """One for every twenty requests."""
    return lambda t: base(t) + each * float(np.floor(served(t) / 20))


def pausing(base: Callable[[float], float]) -> Callable[[float], float]:
    return lambda t: base(t) if not 18 < t < 30 else float("nan")


def named(result: Result) -> Mapping[str, Check]:
    return {check.name: check for check in result.checks}


def causes(result: Result) -> set[str]:
    return {check.cause for check in result.checks if check.status is Status.FAIL}


def test_a_healthy_server_passes_and_says_what_leak_its_run_still_allows(tmp_path: Path) -> None:
    result = soaked(tmp_path, HEALTHY)
    assert result.status is Status.PASS
    high_mib = named(result)["memory-growth"].interval.high
    assert high_mib is not None
    [memory] = [one for one in result.details["signals"] if one["name"] == "memory"]
    shown = high_mib / memory["window_s"] * 360.0
    assert "within 6 min: in 38.0 s at 300 requests/s its memory grew by no more than" in result.headline[0]
    assert f"which would be {significant(shown)} MiB in 6 min;" in result.headline[0]
    assert "that it holds for 24 h is not shown: run the full form" in result.headline[0]
    assert all(signal["smallest_per_s"] for signal in result.details["signals"])


def test_a_run_that_looks_a_day_ahead_takes_nothing_back(tmp_path: Path) -> None:
    flat = {**HEALTHY, "uss_bytes": lambda t: 90 * MIB + 10.0 * np.sin(5 * t)}
    result = soaked(tmp_path, flat, scenario=settings(horizon_h=24.0, granule_mib=0.0))
    assert result.status is Status.PASS
    assert "within 24 h" in result.headline[0]
    assert "not shown" not in " ".join(result.headline)


def test_a_limit_of_the_slo_that_is_broken_is_not_called_no_sign_of_age(tmp_path: Path) -> None:
    result = soaked(tmp_path, HEALTHY, scenario=settings(slo={"p95_ms": 0.01}))
    assert result.status is Status.FAIL
    assert not any("no sign of age" in sentence for sentence in result.headline)


def test_every_check_that_can_fail_has_its_part_of_the_error_rate(tmp_path: Path) -> None:
    names = set(named(soaked(tmp_path, {**HEALTHY, "files_bytes": lambda t: 1e6})))
    assert names - set(allotment.OTHERS) == {"p95", "ok_share", "wrong_share"}
    assert set(allotment.OTHERS) - names == {"gpu-memory-growth"}


def test_creep_and_failures_follow_the_error_rate_of_the_scenario(tmp_path: Path) -> None:
    def slower(due_ns: Any, rng: np.random.Generator) -> Any:
        return np.asarray((3.0 + 0.2 * due_ns / 1e9) * 1e6 * rng.lognormal(0.0, 0.2, len(due_ns)), np.int64)

    checks = named(soaked(tmp_path, {}, target=slower, scenario=settings(alpha_fail=1e-9)))
    assert checks["p50-creep"].status is Status.INCONCLUSIVE


def test_how_much_latency_may_grow_is_for_the_scenario_to_say(tmp_path: Path) -> None:
    def slower(due_ns: Any, rng: np.random.Generator) -> Any:
        return np.asarray((3.0 + 0.2 * due_ns / 1e9) * 1e6 * rng.lognormal(0.0, 0.2, len(due_ns)), np.int64)

    lax = settings(creep_p50_share=4.0, creep_p50_ms=20.0, creep_p99_share=4.0, creep_p99_ms=40.0)
    checks = named(soaked(tmp_path, {}, target=slower, scenario=lax))
    assert {checks[name].status for name in ("p50-creep", "p99-creep")} == {Status.PASS}


def test_a_late_client_leaves_open_all_but_what_the_target_holds(tmp_path: Path) -> None:
    scenario = settings(slo={"p95_ms": 10, "ok_share": 0.99})
    leaking = {**HEALTHY, "uss_bytes": lambda t: 90 * MIB + 20_000 * served(t)}
    with simulated_run(tmp_path, scenario, queue(0.0005), lag_ns=30_000_000) as bench:
        soak.create().conduct(bench, scenario)
        for name, values in leaking.items():
            bench.probed("process", name, values)
    result = judge(RunRecord(tmp_path))
    assert (result.status, causes(result)) == (Status.FAIL, {"memory-leak"})
    checks = named(result)
    assert checks["fds-growth"].status is Status.PASS
    for name in ("p95", "ok_share", "wrong_share", "p50-creep", "p99-creep", "failures-growth"):
        assert checks[name].status is Status.INCONCLUSIVE, name


def test_a_late_client_is_still_invalid_where_nothing_grows(tmp_path: Path) -> None:
    scenario = settings()
    with simulated_run(tmp_path, scenario, queue(0.0005), lag_ns=30_000_000) as bench:
        soak.create().conduct(bench, scenario)
        for name, values in HEALTHY.items():
            bench.probed("process", name, values)
    assert judge(RunRecord(tmp_path)).status is Status.INVALID


def test_a_leak_by_request_fails_with_its_size_and_what_time_is_left(tmp_path: Path) -> None:
    result = soaked(tmp_path, {**HEALTHY, "uss_bytes": lambda t: 90 * MIB + 20_000 * served(t)})
    check = named(result)["memory-growth"]
    assert (check.status, check.cause) == (Status.FAIL, "memory-leak")
    [memory] = [one for one in result.details["signals"] if one["name"] == "memory"]
    assert memory["by"] == "request"
    assert memory["per_request"] == pytest.approx(20_000, rel=0.05)
    expected, soonest, latest = memory["exhausted_s"]
    assert soonest <= expected <= latest


def test_a_leak_by_time_goes_on_when_nobody_asks(tmp_path: Path) -> None:
    result = soaked(tmp_path, {**HEALTHY, "uss_bytes": lambda t: (90 + 4 * t) * MIB})
    [memory] = [one for one in result.details["signals"] if one["name"] == "memory"]
    assert (memory["status"], memory["by"]) == ("fail", "time")


@pytest.mark.parametrize(
    ("grows", "cause"),
    [
        ({"fds": 1.0}, "fd-leak"),
        ({"fds": 1.0, "sockets": 1.0}, "socket-leak"),
        ({"threads": 1.0, "uss_bytes": 40_000.0}, "thread-leak"),
    ],
)
def test_what_piles_up_is_named(tmp_path: Path, grows: Mapping[str, float], cause: str) -> None:
    leaking = {name: piling(HEALTHY[name], each) for name, each in grows.items()}
    result = soaked(tmp_path, {**HEALTHY, **leaking})
    assert result.status is Status.FAIL
    assert cause in causes(result)


def test_threads_that_pile_up_with_processes_are_told_as_these(tmp_path: Path) -> None:
    each = {"threads": 1.0, "processes": 1.0, "births": 1.0, "uss_bytes": 40_000.0}
    plain = {**HEALTHY, "processes": lambda t: 1.0}
    result = soaked(tmp_path, {**plain, **{name: piling(plain[name], more) for name, more in each.items()}})
    assert causes(result) == {"process-leak"}
    assert "processes pile up" in result.headline[0]
    assert "they are those of new processes" in named(result)["threads-growth"].evidence
    assert "joined" not in named(result)["threads-growth"].evidence
    assert "a collector frees" not in " ".join(result.headline)


def test_processes_that_begin_to_pile_up_late_are_no_restart_that_hides_them(tmp_path: Path) -> None:
    late = {name: lambda t: 12.0 + 5.0 * max(0.0, min(t, 30.0) - 8.0) for name in ("threads", "processes", "births")}
    result = soaked(tmp_path, {**HEALTHY, **late})
    assert all(one["restarts"] == 0 for one in result.details["signals"])


def test_several_open_questions_are_open(tmp_path: Path) -> None:
    [first] = soaked(tmp_path, {}).headline
    assert first.endswith("sockets growth are open.")


def test_a_limit_that_is_nearly_reached_fails_though_nothing_grows_any_more(tmp_path: Path) -> None:
    plateau = {"fds": lambda t: min(1020.0, 20 + 400 * t), "fds_of_limit": lambda t: min(1020.0, 20 + 400 * t) / 1024}
    result = soaked(tmp_path, {**HEALTHY, **plateau})
    assert named(result)["fds-growth"].status is Status.FAIL
    assert "fd-leak" in causes(result)


def test_the_targets_own_word_that_it_ran_out_of_descriptors_is_enough(tmp_path: Path) -> None:
    scenario = settings()
    with simulated_run(tmp_path, scenario, queue(0.0005)) as bench:
        soak.create().conduct(bench, scenario)
        bench.note("example", body="OSError: [Errno 24] Too many open files")
        for name, values in HEALTHY.items():
            bench.probed("process", name, values)
    assert "fd-leak" in causes(judge(RunRecord(tmp_path)))


def test_latency_that_creeps_is_found_without_a_process_to_read(tmp_path: Path) -> None:
    def slower(due_ns: Any, rng: np.random.Generator) -> Any:
        return np.asarray((3.0 + 0.2 * due_ns / 1e9) * 1e6 * rng.lognormal(0.0, 0.2, len(due_ns)), np.int64)

    result = soaked(tmp_path, {}, target=slower)
    assert result.status is Status.FAIL
    assert causes(result) == {"latency-creep"}


def test_without_a_process_nothing_that_it_holds_passes_and_the_remedy_is_named(tmp_path: Path) -> None:
    result = soaked(tmp_path, {})
    assert result.status is Status.INCONCLUSIVE
    for name in ("memory", "fds", "threads", "sockets"):
        check = named(result)[f"{name}-growth"]
        assert check.status is Status.INCONCLUSIVE
        assert "target.probe.pid" in check.settle


def test_readings_that_stop_in_between_settle_nothing(tmp_path: Path) -> None:
    scenario = settings()
    with simulated_run(tmp_path, scenario, queue(0.0005)) as bench:
        soak.create().conduct(bench, scenario)
        for name, values in HEALTHY.items():
            bench.probed("process", name, pausing(values))
    assert named(judge(RunRecord(tmp_path)))["memory-growth"].status is Status.INCONCLUSIVE


def test_a_restarted_worker_neither_looks_like_a_leak_nor_hides_one(tmp_path: Path) -> None:
    births = {"births": lambda t: float(t > 24)}
    fresh = {"uss_bytes": lambda t: (180.0 if t < 24 else 240.0) * MIB}
    healthy = soaked(tmp_path / "healthy", {**HEALTHY, **births, **fresh})
    assert named(healthy)["memory-growth"].status is Status.PASS
    leaking = {"uss_bytes": lambda t: (180.0 + 4 * t - (100.0 if t > 24 else 0.0)) * MIB}
    assert "memory-leak" in causes(soaked(tmp_path / "leaking", {**HEALTHY, **births, **leaking}))


def test_windows_of_a_long_run_are_judged_one_at_a_time_to_the_same_end(tmp_path: Path) -> None:
    whole = soaked(tmp_path / "whole", HEALTHY, scenario=settings(slo=_LAX))
    cut = soaked(tmp_path / "cut", HEALTHY, scenario=settings(window_s=10, slo=_LAX))
    assert [phase.name for phase in cut.phases[:4]] == ["soak 1/4", "soak 2/4", "soak 3/4", "soak 4/4"]
    assert cut.status is whole.status is Status.PASS
    assert "worst of 4 windows" in named(cut)["p95"].evidence


def test_a_run_cut_short_never_passes(tmp_path: Path) -> None:
    scenario = settings()

    def broken() -> None:
        with simulated_run(tmp_path, scenario, queue(0.0005)) as bench:
            bench.load(*soak.windows(scenario))
            for name, values in HEALTHY.items():
                bench.probed("process", name, values)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert judge(RunRecord(tmp_path)).status is Status.INVALID


def test_the_report_draws_what_grew(tmp_path: Path) -> None:
    result = soaked(tmp_path, {**HEALTHY, "uss_bytes": lambda t: 90 * MIB + 20_000 * served(t)})
    (tmp_path / "result.json").write_bytes(orjson.dumps(result_to_json(result)))
    document = report_document([view(RunRecord(tmp_path))])
    [section] = [one for one in document.sections if one.id == "experiment"]
    pictures = [block.draw() for block in section.blocks if hasattr(block, "draw")]
    assert len(pictures) == 2
    assert all(picture.startswith("<svg") for picture in pictures)
