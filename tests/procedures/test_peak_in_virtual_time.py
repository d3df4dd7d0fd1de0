"""peak-10x against simulated servers of one worker, whose manners under overload are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload.clock import NS_PER_S
from proofload.errors import InputError
from proofload.judging import judge
from proofload.procedures import peak_10x
from proofload.procedures._peak_10x import plan
from proofload.records import Outcome, Reading, Result, Status
from proofload.scenarios import load_scenario
from proofload.store.folder import write_json
from proofload.store.record import RunRecord
from proofload.store.result_json import result_to_json
from proofload.testing.simulated_bench import SimulatedBench, queue, simulated_run

SERVICE_NS = 8_000_000
WAIT_NS = 300_000_000


class OneWorker(SimulatedBench):
    """`manners`: "sheds" (when the wait is long), "queues" (drops what expired), or "zombies" (computes it all)."""

    manners = "sheds"
    free_ns = 0

    def _run(self, stretch: Any) -> None:
        super()._run(stretch)
        self._now_ns -= round(self._scenario.timeout_s * NS_PER_S)  # what follows begins where this ends

    def _rows(self, index: int, start_ns: int, blocks: Sequence[Any], seed: int) -> NDArray[np.void]:
        rows = super()._rows(index, start_ns, blocks, seed)
        patience = round(self._scenario.timeout_s * NS_PER_S)
        for row in rows:
            sent = int(row["sent_ns"])
            begin = max(sent, self.free_ns)
            end = begin + SERVICE_NS
            if self.manners == "sheds" and begin - sent > WAIT_NS:
                row["done_ns"], row["outcome"], row["status"] = sent + 1_000_000, Outcome.SHED, 503
                continue
            if not (self.manners == "queues" and begin - sent >= patience):
                self.free_ns = end
            if end - int(row["intended_ns"]) <= patience:
                row["done_ns"], row["outcome"], row["status"] = end, Outcome.OK, 200
            else:
                row["done_ns"] = int(row["intended_ns"]) + patience
                row["outcome"], row["status"] = Outcome.TIMEOUT, -1
        self._probes(start_ns, rows)
        return rows

    def _probes(self, start_ns: int, rows: NDArray[np.void]) -> None:
        """A healthy liveness page, and one or two threads that want to run."""
        end_ns = int(rows["intended_ns"][-1])
        for number, t_ns in enumerate(range(start_ns, end_ns, 100_000_000)):
            values = {("liveness", "ms"): 1.0 + number % 3, ("liveness", "ok"): 1.0}
            if number % 5 == 0:
                values["process", "runnable_threads"] = 1.0 + number % 2
            self._folder.add_readings([Reading(t_ns, *name, value) for name, value in values.items()])


def settings(**changes: Any) -> peak_10x.Settings:
    scenario = load_scenario("peak-10x", quick=True, overrides={"max_rps": 2000, **changes})
    assert isinstance(scenario, peak_10x.Settings)
    return scenario


def run(path: Path, manners: str, **changes: Any) -> Result:
    scenario = settings(**changes)
    with simulated_run(path, scenario, queue(0.008)) as bench:
        bench.__class__ = OneWorker
        bench.manners = manners  # type: ignore[attr-defined]
        peak_10x.create().conduct(bench, scenario)
    return judge(RunRecord(path))


def causes(result: Result) -> dict[str, str]:
    return {check.name: check.cause for check in result.checks if check.status is Status.FAIL}


def test_a_server_that_sheds_passes_and_its_capacity_is_about_right(tmp_path: Path) -> None:
    result = run(tmp_path, "sheds")
    assert result.status is Status.PASS, [(check.name, check.status, check.evidence) for check in result.checks]
    assert result.details["capacity_rps"] == pytest.approx(1e9 / SERVICE_NS, rel=0.15)
    assert result.details["base_rps"] == pytest.approx(0.2 * result.details["capacity_rps"])
    goodput = next(check for check in result.checks if check.name == "goodput_at_peak")
    assert goodput.observed == pytest.approx(1.0, abs=0.1)
    assert "times its base load" in result.headline[0]


def test_a_queue_without_a_bound_is_named(tmp_path: Path) -> None:
    result = run(tmp_path, "queues")
    assert result.status is Status.FAIL
    assert causes(result)["excess_refused"] == "unbounded-queue"
    assert "recovery" not in causes(result)


def test_work_for_callers_who_left_is_named_and_does_not_come_back(tmp_path: Path) -> None:
    result = run(tmp_path, "zombies")
    assert result.status is Status.FAIL
    assert causes(result)["recovery"] == "zombie-work"
    assert result.details["recovery"]["metastable"]
    assert "does not" in result.headline[0]


def test_a_given_base_load_is_not_searched_for(tmp_path: Path) -> None:
    scenario = settings(base_rate_rps=10.0)
    with simulated_run(tmp_path, scenario, queue(0.008)) as bench:
        bench.__class__ = OneWorker
        peak_10x.create().conduct(bench, scenario)
    names = [stretch.name for stretch in bench.loads]
    assert names == ["trickle", "0.5×", "1×", "1.5×", "2×", "3×", "5×", "10×", "back at 1×"]
    assert [stretch.rate_rps for stretch in bench.loads[1:]] == [5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0, 10.0]


def test_a_load_it_serves_in_full_leaves_nothing_to_refuse(tmp_path: Path) -> None:
    result = run(tmp_path, "sheds", base_rate_rps=5.0)
    excess = next(check for check in result.checks if check.name == "excess_refused")
    assert excess.status is Status.PASS
    assert "no excess" in excess.evidence


def test_a_peak_within_its_capacity_shows_nothing_of_overload(tmp_path: Path) -> None:
    result = run(tmp_path, "zombies", max_rps=100)
    assert result.status is Status.INCONCLUSIVE
    [left] = [check for check in result.checks if check.status is not Status.PASS]
    assert (left.name, left.status) == ("excess_refused", Status.INCONCLUSIVE)
    assert "not overloaded" in left.evidence


def test_a_given_base_load_is_honoured_or_refused() -> None:
    with pytest.raises(InputError) as refusal:
        settings(base_rate_rps=60.0, max_rps=400)
    assert "600 or more" in f"{refusal.value.what} {refusal.value.evidence} {refusal.value.remedy}"
    honoured = settings(base_rate_rps=60.0, max_rps=600)
    assert max(stretch.rate_rps for stretch in plan.overload(honoured, 60.0)) == 600
    assert peak_10x.create().peak_rps(honoured) >= 600


def behind(path: Path, hidden: str, *, runtime: str, **target: Any) -> Result:
    """A server that sheds, of which the lab sees only a part; `target`: tables of its target file."""

    class Behind(OneWorker):
        def _probes(self, start_ns: int, rows: NDArray[np.void]) -> None:
            times = range(start_ns, int(rows["intended_ns"][-1]), 100_000_000)
            seen = {
                "process": {("liveness", "ms"): 1.0, ("liveness", "ok"): 1.0},
                "liveness": {("process", "runnable_threads"): 1.0},
                "answers of its page": {
                    ("liveness", "ms"): 1.0,
                    ("liveness", "ok"): 0.0,
                    ("process", "runnable_threads"): 1.0,
                },
            }
            self._folder.add_readings(
                [Reading(t_ns, *name, value) for t_ns in times for name, value in seen[hidden].items()]
            )

    scenario = settings()
    with simulated_run(path, scenario, queue(0.008), runtime=runtime) as bench:
        bench.__class__ = Behind
        peak_10x.create().conduct(bench, scenario)
    run = RunRecord(path).run
    write_json(path / "run.json", {**run, "target": {**run["target"], **target}})
    return judge(RunRecord(path))


@pytest.mark.parametrize(
    ("hidden", "check"),
    [("process", "threads_per_core"), ("liveness", "responsiveness"), ("answers of its page", "responsiveness")],
)
def test_what_is_not_there_to_be_looked_at_is_left_out_and_a_pass_says_so(
    tmp_path: Path, hidden: str, check: str
) -> None:
    result = behind(tmp_path, hidden, runtime="external")
    assert result.status is Status.PASS, [(one.name, one.status, one.evidence) for one in result.checks]
    assert check not in {one.name for one in result.checks}
    assert set(result.details["unseen"]) == {check}
    assert f"Not looked at: {check.replace('_', ' ')} (" in result.headline[-1]


@pytest.mark.parametrize(
    ("hidden", "check", "told"),
    [
        ("process", "threads_per_core", {"runtime": "process"}),
        ("process", "threads_per_core", {"runtime": "external", "probe": {"pid": 4711}}),
        ("liveness", "responsiveness", {"runtime": "external", "health": {"live": "/live"}}),
        ("answers of its page", "responsiveness", {"runtime": "external", "health": {"live": "/live"}}),
    ],
)
def test_what_should_have_been_seen_and_was_not_is_open(
    tmp_path: Path, hidden: str, check: str, told: dict[str, Any]
) -> None:
    result = behind(tmp_path, hidden, **told)
    assert result.status is Status.INCONCLUSIVE
    [open_check] = [one for one in result.checks if one.status is not Status.PASS]
    assert (open_check.name, open_check.status) == (check, Status.INCONCLUSIVE)
    assert open_check.settle
    assert not result.details["unseen"]


def test_judging_twice_gives_the_same(tmp_path: Path) -> None:
    result = run(tmp_path, "sheds")
    assert result_to_json(judge(RunRecord(tmp_path))) == result_to_json(result)


@pytest.mark.parametrize("last", ["trickle", "burst 1", "1×", "5×", "10×"])
def test_a_run_that_is_cut_short_never_passes(tmp_path: Path, last: str) -> None:
    class Impatient(OneWorker):
        def _run(self, stretch: Any) -> None:
            super()._run(stretch)
            if stretch.name.startswith(last):
                raise KeyboardInterrupt

    scenario = settings()
    with (  # noqa: PT012  the run is what is interrupted
        pytest.raises(KeyboardInterrupt),
        simulated_run(tmp_path, scenario, queue(0.008)) as bench,
    ):
        bench.__class__ = Impatient
        peak_10x.create().conduct(bench, scenario)
    result = judge(RunRecord(tmp_path))
    assert result.status is Status.INVALID
    assert all(check.status is not Status.PASS for check in result.checks if check.name == "goodput_at_peak")


def test_a_server_that_serves_nothing_fails_without_a_ramp(tmp_path: Path) -> None:
    scenario = settings()
    with simulated_run(tmp_path, scenario, lambda due, _: np.full(len(due), 9 * NS_PER_S)) as bench:
        peak_10x.create().conduct(bench, scenario)
    result = judge(RunRecord(tmp_path))
    assert [stretch.name.split()[0] for stretch in bench.loads] == [plan.TRICKLE] + [plan.REST] * 6
    assert result.status is Status.FAIL
    assert "base_load" in causes(result)
    assert "nothing in time" in result.headline[0]


def test_the_ring_has_room_for_the_peak() -> None:
    assert peak_10x.create().peak_rps(settings(base_rate_rps=50.0)) >= 500
    assert peak_10x.create().peak_rps(settings()) >= 2000
