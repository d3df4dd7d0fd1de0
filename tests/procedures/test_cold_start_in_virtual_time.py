"""The cold-start procedure against simulated instances that come up well, or in the ways it is there to find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.errors import InputError, TargetError
from proofload.judging import judge
from proofload.procedures import cold_start
from proofload.procedures._cold_start.lives import Lives
from proofload.procedures._cold_start.restarting import restarter
from proofload.records import Check, Event, Outcome, Result, Status
from proofload.store.record import RunRecord
from proofload.target_model import Container, Start, Target
from proofload.testing.simulated_bench import SimulatedBench, simulated_run

STEADY_MS = 2.0


@dataclass(frozen=True)
class Manner:
    """How fresh instances come up."""

    ready_s: float = 0.4
    refuses_s: float = 0.0
    """Requests due so long after the first one are refused."""
    stall_s: float = 0.0
    """The first answer takes so long, and all that come meanwhile wait for it."""
    rests: bool = False
    """A stall is over by itself, whether or not a request has come."""
    dies_at: tuple[int, ...] = ()
    harmed: tuple[int, ...] = tuple(range(100))
    """Restarts, by number, that show it."""


@dataclass
class Instance:
    """See `proofload.runtimes.Server`."""

    timeline: Mapping[str, int]
    target: Target
    pids: Sequence[int] = ()
    cpus: Sequence[int] = ()

    def check_alive(self) -> None:
        """It lives."""

    def facts(self) -> Mapping[str, Any]:
        return {}


TARGET = Target(name="scorer", transport="http", url="http://127.0.0.1:{port}/p", start=Start(command=("server",)))


@dataclass
class ColdWorld:
    """Instances started in virtual time."""

    bench: SimulatedBench
    manner: Manner
    number: int = -1
    ready_ns: int = 0
    fresh: bool = False
    up: set[int] = field(default_factory=set)

    def now_ns(self) -> int:
        return self.bench._now_ns

    def sleep(self, seconds: float) -> None:
        self.bench.pause(seconds)

    def start(self, target: Target, *, arm: int = 0, essential: bool = True, env: Any = None) -> Instance:
        assert arm not in self.up
        self.number += arm == 0
        harmed = arm == 0 and self.number in self.manner.harmed
        spawn = self.now_ns()
        assert target.start is not None
        ready_s = self.manner.ready_s if harmed else 0.4
        self.bench.pause(min(ready_s, target.start.ready_timeout_s))
        if arm == 0 and self.number in self.manner.dies_at:
            raise TargetError("target scorer died before it was ready: it exited with 1")
        if ready_s > target.start.ready_timeout_s:
            raise TargetError(f"target scorer was not ready after {target.start.ready_timeout_s:g} s")
        self.up.add(arm)
        self.ready_ns = self.now_ns()
        self.fresh = harmed
        return Instance({"spawn_ns": spawn, "port_bound_ns": spawn + 1, "ready_ns": self.ready_ns}, target)

    def stop(self, arm: int) -> None:
        self.up.discard(arm)

    def rows(self, rows: NDArray[Any]) -> NDArray[Any]:
        """What a fresh instance makes of the first requests it gets."""
        if not self.fresh:
            return rows
        self.fresh = False
        due = rows["intended_ns"]
        since = due - due[0]
        refused = since < self.manner.refuses_s * NS_PER_S
        rows["outcome"][refused], rows["status"][refused] = Outcome.SHED, 503
        begins = self.ready_ns if self.manner.rests else int(due[0])
        left = np.maximum(0, begins + round(self.manner.stall_s * NS_PER_S) - due)
        rows["done_ns"] += left
        return rows


class ColdBench(SimulatedBench):
    world: ColdWorld
    described: Target = TARGET

    @property
    def target(self) -> Any:
        return self.described

    def start(self, target: Any, *, arm: int = 0, essential: bool = True, env: Any = None) -> Any:
        return self.world.start(target, arm=arm, essential=essential, env=env)

    def stop(self, arm: int) -> None:
        self.world.stop(arm)

    def _rows(self, *args: Any) -> NDArray[Any]:
        return self.world.rows(super()._rows(*args))


def flat(due_ns: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    return np.full(len(due_ns), round(STEADY_MS * NS_PER_MS), dtype=np.int64)


def settings(**changes: Any) -> cold_start.Settings:
    quick = {
        "name": "cold-start", "procedure": "cold-start", "restarts": 8, "ready_limit_s": 5, "load_s": 1.2,
        "steady_s": 8, "joining_s": 0, "quantile": 0.5, "rate_rps": 150, "slo": {"ok_share": 0.99},
    }  # fmt: skip
    return cold_start.Settings.model_validate({**quick, **changes})


def conducted(path: Path, manner: Manner, *, target: Target = TARGET, **changes: Any) -> Result:
    scenario = settings(**changes)
    with simulated_run(path, scenario, flat) as plain:
        bench = ColdBench(plain._folder, scenario, flat)
        bench.described = target
        bench.world = ColdWorld(bench, manner)
        cold_start.ColdStart(clock=bench.world).conduct(bench, scenario)
        assert not bench.world.up
    return judge(RunRecord(path))


def check(result: Result, name: str) -> Check:
    return next(check for check in result.checks if check.name == name)


def test_instances_that_come_up_well_pass_and_quantiles_beyond_the_restarts_stay_open(tmp_path: Path) -> None:
    result = conducted(tmp_path, Manner())
    assert result.status is Status.PASS
    quantiles = result.details["quantiles"][0]["ready_s"]
    assert [one["needs"] for one in quantiles] == [None, 29, 59]
    assert quantiles[0]["value"] == pytest.approx(0.4)
    assert {life["condition"] for life in result.details["lives"]} == {"page cache as found", "page cache warm"}
    assert all(life["instants_s"]["first_correct"] > life["ready_s"] for life in result.details["lives"])


def test_refusals_after_ready_are_false_readiness(tmp_path: Path) -> None:
    result = conducted(tmp_path, Manner(refuses_s=0.3))
    assert result.status is Status.FAIL
    assert check(result, "false_ready").cause == "false-ready"
    assert "8 of 8 restarts" in result.headline[0]
    assert check(result, "time_to_ready").status is Status.PASS


def test_without_expected_answers_the_headline_says_that_what_ready_answers_was_not_checked(tmp_path: Path) -> None:
    assert "was not checked" not in " ".join(conducted(tmp_path, Manner()).headline)
    path = tmp_path / "run.json"
    run = orjson.loads(path.read_bytes())
    run["payloads"]["with_expectation"] = 0
    path.write_bytes(orjson.dumps(run))
    first = judge(RunRecord(tmp_path)).headline[0]
    assert "is ready 0.4 s after its start" in first
    assert "whether it then answers correctly was not checked" in first


def test_a_slow_first_answer_that_resting_does_not_spare_is_a_missing_warm_up(tmp_path: Path) -> None:
    result = conducted(tmp_path, Manner(stall_s=0.8))
    assert check(result, "first_requests").cause == "no-warm-up"
    assert check(result, "false_ready").status is Status.PASS
    assert result.details["rested"] is not None


def test_slowness_that_resting_ends_is_false_readiness(tmp_path: Path) -> None:
    result = conducted(tmp_path, Manner(stall_s=0.8, rests=True))
    assert check(result, "first_requests").cause == check(result, "false_ready").cause == "false-ready"


@pytest.mark.parametrize("ready_s", [6.0, 100.0])
def test_restarts_over_the_limit_fail_after_the_first_few(tmp_path: Path, ready_s: float) -> None:
    result = conducted(tmp_path, Manner(ready_s=ready_s))
    assert result.status is Status.FAIL
    assert check(result, "time_to_ready").cause == "slow-load"
    assert len(result.details["lives"]) == 3


def test_slow_but_within_the_limit_passes(tmp_path: Path) -> None:
    assert conducted(tmp_path, Manner(ready_s=4.5)).status is Status.PASS


def test_harm_in_a_single_restart_is_neither_a_fail_nor_hidden(tmp_path: Path) -> None:
    result = conducted(tmp_path, Manner(refuses_s=0.3, harmed=(3,)))
    assert check(result, "false_ready").status is Status.INCONCLUSIVE
    assert result.status is Status.INCONCLUSIVE
    assert check(result, "false_ready").observed == pytest.approx(1 / 8)


def test_one_restart_that_dies_neither_fails_the_run_nor_passes_nor_ends_it(tmp_path: Path) -> None:
    result = conducted(tmp_path, Manner(dies_at=(2,)))
    assert result.status is Status.INCONCLUSIVE
    assert check(result, "restarts_come_up").status is Status.INCONCLUSIVE
    assert len(result.details["lives"]) == 8


def test_restarts_that_die_fail_and_name_the_cause(tmp_path: Path) -> None:
    result = conducted(tmp_path, Manner(dies_at=(1, 2, 3, 5, 6)))
    assert result.status is Status.FAIL
    assert {one.cause for one in result.checks if one.status is Status.FAIL} == {"dies-at-start"}
    assert check(result, "restarts_come_up").status is Status.FAIL


def test_a_death_does_not_mix_up_the_restart_that_is_left_to_rest(tmp_path: Path) -> None:
    result = conducted(tmp_path, Manner(stall_s=0.8, dies_at=(2,)))
    assert result.details["rested"]["number"] == 8


def test_a_second_instance_that_cannot_join_leaves_the_question_open(tmp_path: Path) -> None:
    fixed = TARGET.model_copy(update={"url": "http://127.0.0.1:9/p"})
    result = conducted(tmp_path, Manner(), target=fixed, joining_s=4)
    assert result.status is Status.INCONCLUSIVE
    [left] = [one for one in result.checks if one.status is not Status.PASS]
    assert left.name == "scale_out"
    assert "no {port}" in left.evidence
    assert "joining_s=0" in left.settle


def test_an_instance_that_never_starts_is_an_error_of_the_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="died before it was ready"):
        conducted(tmp_path, Manner(dies_at=(0,)))


def test_a_target_that_cannot_be_restarted_is_refused_with_the_next_step() -> None:
    class External:
        target = Target(name="far", transport="http", url="http://127.0.0.1:9/p")

    with pytest.raises(InputError, match="cannot be restarted") as refusal:
        cold_start.create().conduct(External(), settings())  # type: ignore[arg-type]
    assert "restart" in refusal.value.remedy


def test_the_scenarios_patience_is_that_of_either_runtime(tmp_path: Path) -> None:
    started: list[Target] = []

    class Noting(ColdBench):
        def start(self, target: Any, *, arm: int = 0, essential: bool = True, env: Any = None) -> Any:
            started.append(target)
            return super().start(target, arm=arm, essential=essential, env=env)

    scenario = settings(ready_limit_s=100.0, patience=2.0)
    with simulated_run(tmp_path, scenario, flat, runtime="container") as plain:
        bench = Noting(plain._folder, scenario, flat)
        bench.world = ColdWorld(bench, Manner())
        bench.described = TARGET.model_copy(update={"container": Container(image="scorer:2")})
        restarter(bench, scenario, bench.world)()
    [target] = started
    assert target.start is not None
    assert target.container is not None
    assert (target.start.ready_timeout_s, target.container.ready_timeout_s) == (200.0, 200.0)


def test_a_compile_cache_of_this_host_is_refused_for_a_container(tmp_path: Path) -> None:
    scenario = settings(compile_cache_env="ENGINE_CACHE")
    for runtime in ("process", "container"):
        with simulated_run(tmp_path / runtime, scenario, flat, runtime=runtime) as plain:
            bench = ColdBench(plain._folder, scenario, flat)
            bench.world = ColdWorld(bench, Manner())
            if runtime == "process":
                restarter(bench, scenario, bench.world)
                continue
            with pytest.raises(InputError, match="compile cache") as refusal:
                restarter(bench, scenario, bench.world)
            assert "--runtime process" in refusal.value.remedy


def test_a_run_cut_short_never_passes(tmp_path: Path) -> None:
    conducted(tmp_path, Manner())
    events = (tmp_path / "events.jsonl").read_text().splitlines()
    kept = [line for line in events if '"run-complete"' not in line][: len(events) // 2]
    (tmp_path / "events.jsonl").write_text("\n".join(kept) + "\n")
    assert judge(RunRecord(tmp_path)).status is not Status.PASS


def test_without_a_warm_stretch_nothing_is_said_of_first_requests(tmp_path: Path) -> None:
    scenario = settings(restarts=1)
    with simulated_run(tmp_path, scenario, flat) as plain:
        bench = ColdBench(plain._folder, scenario, flat)
        bench.world = ColdWorld(bench, Manner(refuses_s=0.3))
        lives = Lives(bench, scenario, restarter(bench, scenario, bench.world), bench.world)
        lives.restart_again_and_again()
        lives.end()
    result = judge(RunRecord(tmp_path))
    assert result.status is Status.INCONCLUSIVE
    assert {one.status for one in result.checks} == {Status.INCONCLUSIVE}


def test_the_report_draws_each_restart(tmp_path: Path) -> None:
    from proofload.lab import render_report

    conducted(tmp_path, Manner(stall_s=0.8))
    render_report([tmp_path], ["html", "md"])
    page = (tmp_path / "report.html").read_text()
    assert "From spawn to steady" in page
    assert "page cache as found" in page
    assert "not bounded (29 restarts needed)" in page


def test_events_of_other_kinds_do_not_disturb(tmp_path: Path) -> None:
    result = conducted(tmp_path, Manner())
    assert isinstance(RunRecord(tmp_path).events[0], Event)
    assert result.details["unseen_s"] is not None
