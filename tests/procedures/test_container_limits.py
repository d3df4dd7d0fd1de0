"""What is made of a container's readings: growth, kills at the memory limit, restarts, throttling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from proofload.clock import NS_PER_S
from proofload.judging import judge
from proofload.procedures import load, peak_10x, soak
from proofload.records import Check, Event, Reading, Result, Status
from proofload.report.sections import report_document
from proofload.report.view import view
from proofload.runtimes._diagnosis import diagnose
from proofload.store.folder import RunFolder, write_json
from proofload.store.record import RunRecord
from proofload.store.result_json import result_to_json
from proofload.testing.simulated_bench import SimulatedBench, Target, queue, simulated_run

MIB = 2.0**20
Series = Mapping[str, Callable[[float], float]]
RATE, KILLED_S, LIMIT = 300.0, 30.0, 256 * MIB
LEAK = (LIMIT - 60 * MIB) / KILLED_S
PROCESS: Series = {
    "uss_bytes": lambda t: 50 * MIB,
    "fds": lambda t: 21.0,
    "threads": lambda t: 12.0,
    "sockets": lambda t: 7.0,
    "births": lambda t: 0.0,
}
CONTAINER: Series = {
    "anon_bytes": lambda t: 60 * MIB + 0.1 * MIB * np.sin(5 * t),
    "memory_bytes": lambda t: 80 * MIB + 0.1 * MIB * np.sin(5 * t),
    "memory_limit_bytes": lambda t: LIMIT,
    "oom_kills": lambda t: 0.0,
    "restarts": lambda t: 0.0,
    "pids": lambda t: 12.0,
}


def soaked(path: Path, container: Series, process: Series = PROCESS, *, died_s: float | None = None) -> Result:
    scenario = soak.Settings.model_validate(
        {
            "name": "soak", "procedure": "soak", "rate_rps": RATE, "duration_s": 60.0, "horizon_h": 0.1,
            "another_s": 5, "idle_s": 5, "timeout_s": 1.0, "slo": {"p95_ms": 500},
        }
    )  # fmt: skip
    with simulated_run(path, scenario, queue(0.0005), runtime="container") as bench:
        soak.create().conduct(bench, scenario)
        for source, series in (("process", process), ("container", container)):
            for name, values in series.items():
                bench.probed(source, name, until(died_s, values) if died_s and name != "oom_kills" else values)
        if died_s:
            die(bench, died_s)
    return judge(RunRecord(path))


def until(end_s: float, values: Callable[[float], float]) -> Callable[[float], float]:
    return lambda t: values(t) if t < end_s else float("nan")


def die(bench: SimulatedBench, at_s: float) -> None:
    """As the lab records it."""
    bench.note("phase-cut", phase=0, ran_s=at_s)
    bench.note("phase-cut", phase=1, ran_s=0.0)
    why = diagnose(137, "", out_of_memory=True)
    bench.note("target-died", what=f"target x died during the run: it {why.ended}", evidence="", cause=why.cause)


def named(result: Result) -> Mapping[str, Check]:
    return {check.name: check for check in result.checks}


def memory(result: Result) -> Mapping[str, Any]:
    [found] = [one for one in result.details["signals"] if one["name"] == "memory"]
    return dict(found)


def test_a_page_cache_that_fills_is_no_leak(tmp_path: Path) -> None:
    filling = {**CONTAINER, "memory_bytes": lambda t: (80 + t) * MIB}
    result = soaked(tmp_path, filling)
    assert named(result)["memory-growth"].status is Status.PASS
    assert "without the page cache" in named(result)["memory-growth"].evidence
    assert memory(result)["limit_told"] == "its memory limit of 256 MiB"


def test_where_the_cache_is_not_told_apart_private_memory_stands_for_the_container(tmp_path: Path) -> None:
    blind = {name: values for name, values in CONTAINER.items() if name != "anon_bytes"}
    filling = {**blind, "memory_bytes": lambda t: (80 + t) * MIB}
    assert named(soaked(tmp_path / "both", filling))["memory-growth"].status is Status.PASS
    alone = soaked(tmp_path / "alone", filling, {})
    assert named(alone)["memory-growth"].status is Status.FAIL
    assert "working set" in named(alone)["memory-growth"].evidence
    assert named(alone)["threads-growth"].status is Status.PASS


def test_a_target_killed_at_its_memory_limit_is_named_with_its_leak_and_what_was_foretold(tmp_path: Path) -> None:
    leaking = {**CONTAINER, "anon_bytes": lambda t: 60 * MIB + LEAK * t, "oom_kills": lambda t: float(t > KILLED_S)}
    result = soaked(tmp_path, leaking, died_s=KILLED_S)
    assert result.status is Status.FAIL
    checks = named(result)
    assert checks["target-stays-up"].cause == "out-of-memory"
    assert "its memory limit was reached" in checks["target-stays-up"].evidence
    assert "memory_kills" not in checks
    assert (checks["memory-growth"].status, checks["memory-growth"].cause) == (Status.FAIL, "memory-leak")
    reached = memory(result)["reached"]
    assert reached["at_s"] == pytest.approx(KILLED_S, abs=0.6)
    assert reached["foretold_by_s"] == pytest.approx(KILLED_S / 2, abs=0.3)
    expected, soonest, latest = reached["foretold_s"]
    assert soonest <= expected <= latest
    assert expected == pytest.approx(KILLED_S, rel=0.05)
    assert "was reached after 30" in result.headline[0]
    assert "and it was killed" in result.headline[0]


def test_a_leak_that_sets_in_late_is_not_foretold(tmp_path: Path) -> None:
    late = {**CONTAINER, "anon_bytes": lambda t: 60 * MIB + max(0.0, t - 20) * 19.6 * MIB}
    result = soaked(tmp_path, late, died_s=KILLED_S)
    assert named(result)["memory-growth"].status is Status.FAIL
    foretold = memory(result)["reached"]["foretold_s"]
    assert foretold is None or foretold[0] > 10 * KILLED_S


def test_a_kill_out_of_the_blue_is_no_leak(tmp_path: Path) -> None:
    result = soaked(tmp_path, CONTAINER, died_s=KILLED_S)
    check = named(result)["memory-growth"]
    assert (check.status, check.cause) == (Status.FAIL, "out-of-memory")
    assert result.status is Status.FAIL


def test_a_worker_killed_at_the_limit_is_a_finding_and_what_follows_it_is_not_judged(tmp_path: Path) -> None:
    sawtooth = {
        **CONTAINER,
        "anon_bytes": lambda t: 60 * MIB + LEAK * (t % KILLED_S),
        "oom_kills": lambda t: float(int(t >= KILLED_S) + int(t >= 2 * KILLED_S)),
    }
    result = soaked(tmp_path, sawtooth)
    checks = named(result)
    assert (checks["memory_kills"].status, checks["memory_kills"].cause) == (Status.FAIL, "out-of-memory")
    assert "killed 2 processes" in checks["memory_kills"].evidence
    assert checks["memory-growth"].cause == "memory-leak"
    assert "and a process of it was killed" in checks["memory-growth"].evidence
    assert memory(result)["reached"]["at_s"] == pytest.approx(KILLED_S, abs=0.6)


def test_where_nothing_tells_of_kills_their_absence_is_no_pass(tmp_path: Path) -> None:
    told_little = {name: values for name, values in CONTAINER.items() if name != "oom_kills"}
    result = loaded(tmp_path / "limited", told_little, queue(0.0005))
    check = named(result)["memory_kills"]
    assert (result.status, check.status, check.observed) == (Status.INCONCLUSIVE, Status.INCONCLUSIVE, None)
    assert "host" in check.settle
    del told_little["memory_limit_bytes"]
    assert "memory_kills" not in named(loaded(tmp_path / "unlimited", told_little, queue(0.0005)))
    assert "memory_kills" not in named(loaded(tmp_path / "told", CONTAINER, queue(0.0005)))


def test_a_container_of_which_nothing_was_read_does_not_pass(tmp_path: Path) -> None:
    loaded(tmp_path, {}, queue(0.0005))
    run = {**RunRecord(tmp_path).run}
    writer = RunFolder(tmp_path, run)
    writer.add_event(Event(RunRecord(tmp_path).phases[0].start_ns, "server", {"what": "started", "arm": 0}))
    writer.close()
    result = judge(RunRecord(tmp_path))
    assert (result.status, named(result)["restarts"].status) == (Status.INCONCLUSIVE, Status.INCONCLUSIVE)
    assert "memory_kills" not in named(result)
    write_json(tmp_path / "run.json", {**run, "target": {**run["target"], "limits": {"memory_mib": 256}}})
    assert named(judge(RunRecord(tmp_path)))["memory_kills"].status is Status.INCONCLUSIVE


def test_a_kill_that_is_only_told_at_the_end_of_another_arms_container_counts(tmp_path: Path) -> None:
    loaded(tmp_path, CONTAINER, queue(0.0005))
    writer = RunFolder(tmp_path, RunRecord(tmp_path).run)
    at_ns = RunRecord(tmp_path).phases[0].start_ns + NS_PER_S
    writer.add_readings([Reading(at_ns, "container", "oom_kills", 1.0, arm=1)])
    writer.add_event(Event(at_ns, "note"))
    writer.close()
    check = named(judge(RunRecord(tmp_path)))["memory_kills of arm 1"]
    assert (check.status, check.observed, check.cause) == (Status.FAIL, 1.0, "out-of-memory")


def test_the_report_tells_of_the_kill(tmp_path: Path) -> None:
    leaking = {**CONTAINER, "anon_bytes": lambda t: 60 * MIB + LEAK * t}
    result = soaked(tmp_path, leaking, died_s=KILLED_S)
    (tmp_path / "result.json").write_bytes(orjson.dumps(result_to_json(result)))
    document = report_document([view(RunRecord(tmp_path))])
    pictures = [block.draw() for one in document.sections for block in one.blocks if hasattr(block, "draw")]
    assert all(picture.startswith("<svg") for picture in pictures)
    text = str([one.blocks for one in document.sections if one.id in {"experiment", "server"}])
    assert "killed; foretold after 15" in text
    assert "container: memory limit (MiB)" in text


# Restarts and throttling, whatever the procedure


def loaded(path: Path, container: Series, target: Target, *, runtime: str = "container") -> Result:
    scenario = load.Settings.model_validate(
        {"name": "load", "procedure": "load", "rate_rps": 200, "duration_s": 20, "slo": {"p99_ms": 50}}
    )
    with simulated_run(path, scenario, target, runtime=runtime) as bench:
        load.create().conduct(bench, scenario)
        for name, values in container.items():
            bench.probed("container", name, values)
    return judge(RunRecord(path))


def slow(due_ns: Any, rng: np.random.Generator) -> Any:
    return np.asarray(rng.uniform(20e6, 180e6, len(due_ns)), np.int64)


def test_a_target_that_restarts_under_load_has_failed(tmp_path: Path) -> None:
    result = loaded(tmp_path, {**CONTAINER, "restarts": lambda t: float(t > 9)}, queue(0.0005))
    assert result.status is Status.FAIL
    assert named(result)["restarts"].cause == "restarts-under-load"


def test_a_slow_target_that_its_cpu_limit_stops_is_named_as_throttled(tmp_path: Path) -> None:
    result = loaded(tmp_path, {**CONTAINER, "throttled_share": lambda t: 0.9}, slow)
    check = named(result)["p99"]
    assert (check.status, check.cause) == (Status.FAIL, "cpu-throttled")
    assert "90% of the scheduler's periods" in check.evidence


@pytest.mark.parametrize(
    ("share", "target", "runtime"),
    [(0.1, slow, "container"), (0.9, queue(0.0005), "container"), (0.9, slow, "process")],
    ids=["hardly throttled", "throttled and fast", "in no container"],
)
def test_nothing_else_is(tmp_path: Path, share: float, target: Target, runtime: str) -> None:
    result = loaded(tmp_path, {**CONTAINER, "throttled_share": lambda t: share}, target, runtime=runtime)
    assert not [check for check in result.checks if check.cause]


def test_containers_of_other_arms_are_told_by_their_arm(tmp_path: Path) -> None:
    loaded(tmp_path, CONTAINER, queue(0.0005))
    writer = RunFolder(tmp_path, RunRecord(tmp_path).run)
    start_ns = RunRecord(tmp_path).phases[0].start_ns
    writer.add_readings([Reading(start_ns + at, "container", "restarts", float(at), arm=1) for at in (0, 1)])
    writer.add_event(Event(start_ns, "note"))
    writer.close()
    assert named(judge(RunRecord(tmp_path)))["restarts of arm 1"].status is Status.FAIL


# Overload


def overloaded(path: Path, throttled: Callable[[float], float], threads: float, service_s: float) -> Result:
    settings = peak_10x.Settings.model_validate(
        {
            "name": "peak-10x", "procedure": "peak-10x", "rate_rps": 1, "base_rate_rps": 20, "trickle_s": 3,
            "base_s": 4, "step_s": 3, "plateau_s": 6, "hold_s": 9, "back_s": 12, "recover_within_s": 6, "timeout_s": 1,
            "slo": {"p50_ms": 500, "deadline_ms": 1000, "ok_share": 0.9},
        }
    )  # fmt: skip
    with simulated_run(path, settings, queue(service_s), runtime="container") as bench:
        peak_10x.create().conduct(bench, settings)
        bench.probed("process", "runnable_threads", lambda t: threads + int(2 * t) % 2)
        bench.probed("container", "throttled_share", throttled)
        bench.probed("container", "cpu_limit_cores", lambda t: 0.5)
        bench.probed("container", "restarts", lambda t: 0.0)
    return judge(RunRecord(path))


def test_too_many_threads_under_a_cpu_limit_name_both(tmp_path: Path) -> None:
    result = overloaded(tmp_path, lambda t: 0.8, 16.0, 0.02)
    assert result.status is Status.FAIL
    assert {"oversubscribed-threads", "cpu-throttled"} <= set(result.details["causes"])
    assert named(result)["throttling"].status is Status.FAIL
    assert any("CPU limit stops it" in sentence for sentence in result.headline)


def test_a_queue_without_a_bound_is_not_blamed_on_the_limit_that_saturation_uses_up(tmp_path: Path) -> None:
    result = overloaded(tmp_path, lambda t: 1.0 if 25 < t < 45 else 0.05, 1.0, 0.02)
    assert result.status is Status.FAIL
    assert "cpu-throttled" not in result.details["causes"]
    assert named(result)["throttling"].status is Status.PASS


def test_some_throttling_with_fine_latency_is_no_failure(tmp_path: Path) -> None:
    result = overloaded(tmp_path, lambda t: 0.4, 1.0, 0.001)
    assert result.status is Status.PASS, [(one.name, one.status, one.evidence) for one in result.checks]
    assert named(result)["throttling"].status is Status.PASS
