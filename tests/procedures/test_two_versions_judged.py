"""ab-test, shadow and blue-green judge run folders again: what is healthy passes, what is harmed is named, and what was
cut short, or never began, never passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.judging import judge
from proofload.procedures import ab_test, blue_green, shadow
from proofload.procedures._ab_test.metrics import Users
from proofload.records import SAMPLE_DTYPE, Agreement, Event, Outcome, Result, Samples, Status
from proofload.report.formats import md
from proofload.report.view import view
from proofload.scenarios import Scenario
from proofload.store.folder import RunFolder, write_json
from proofload.store.record import USERS, RunRecord
from proofload.store.result_json import result_to_json
from proofload.testing.synthetic_run import run_json

BEGIN = 1_000 * NS_PER_S
PAYLOADS = 2048
RATE = 300
Assigned = Callable[[NDArray[np.int64]], Any]
Harm = Callable[[NDArray[np.void], np.random.Generator], None]


class Writer:
    """A run folder, phase after phase."""

    def __init__(self, path: Path, scenario: Scenario, harm: Harm) -> None:
        path.mkdir()
        self.path = path
        told = {**run_json(RATE, 10.0, 1), "scenario": scenario.model_dump(mode="json")}
        self.folder = RunFolder(path, told)
        self.rng = np.random.default_rng(5)
        self.harm = harm
        self.now_ns = BEGIN
        self.phases = 0
        np.save(path / USERS, np.arange(PAYLOADS, dtype=np.int32) // 2)
        for arm in (0, 1):
            self.event("server", what="started", arm=arm, name="v", facts={})

    def event(self, kind: str, **detail: Any) -> None:
        self.folder.add_event(Event(self.now_ns, kind, detail))

    def phase(
        self, name: str, seconds: float, arm: Callable[[NDArray[np.int64]], Any], *, mirror: bool = False
    ) -> None:
        n = round(RATE * seconds)
        rows = np.zeros(n, SAMPLE_DTYPE)
        rows["phase"], rows["seq"] = self.phases, np.arange(n)
        rows["intended_ns"] = self.now_ns + (np.arange(n) * (NS_PER_S / RATE)).astype(np.int64)
        rows["dispatched_ns"] = rows["sent_ns"] = rows["intended_ns"] + 20_000
        rows["payload"] = self.rng.integers(0, PAYLOADS, n)
        rows["arm"] = arm(rows["payload"].astype(np.int64))
        rows["outcome"], rows["status"] = Outcome.OK, 200
        rows["score"] = (rows["payload"] // 2 * 37 % 101) / 101
        rows["done_ns"] = rows["sent_ns"] + (2 * NS_PER_MS * self.rng.lognormal(0, 0.2, n)).astype(np.int64)
        if mirror:
            copies = rows.copy()
            copies["mirror"], copies["arm"], copies["agrees"] = 1, 1, Agreement.SAME
            rows = np.sort(np.concatenate([rows, copies]), order=["seq", "mirror"])
        self.harm(rows, self.rng)
        shape = {"arrival": "constant", "rate_rps": float(RATE), "duration_s": seconds, "seed": 1}
        self.event("phase", phase=self.phases, start_ns=self.now_ns, measured=True, name=name, **shape)
        self.folder.add_samples(rows)
        for second in range(round(seconds)):
            told = {"worker": 0, "cpu_share": 0.1, "runqueue_share": 0.0, "loop_stalls": 0, "gc_pause_ms": 0.0}
            self.folder.add_event(Event(self.now_ns + (second + 1) * NS_PER_S, "health", told))
        self.now_ns += round(seconds * NS_PER_S)
        self.event("phase-planned", phase=self.phases, planned=len(rows))
        self.phases += 1

    def moved(self, share: float, why: str = "") -> None:
        self.event("share", canary_share=share, asked_ns=self.now_ns, done_ns=self.now_ns, why=why)

    def judged(self, *, complete: bool = True) -> Result:
        if complete:
            self.event("run-complete")
        self.folder.close()
        return judge(RunRecord(self.path))


def healthy(rows: NDArray[np.void], rng: np.random.Generator) -> None:
    del rows, rng


def failing(rows: NDArray[np.void], rng: np.random.Generator) -> None:
    hit = (rows["arm"] == 1) & (rng.random(len(rows)) < 0.08)
    rows["outcome"][hit], rows["status"][hit], rows["score"][hit] = Outcome.ERROR, 500, np.nan
    rows["agrees"][hit] = Agreement.NOT_COMPARED


def differing(rows: NDArray[np.void], rng: np.random.Generator) -> None:
    hit = (rows["arm"] == 1) & (rng.random(len(rows)) < 0.08)
    rows["outcome"][hit] = Outcome.WRONG
    rows["score"][hit] += 0.3
    rows["agrees"][hit & (rows["mirror"] == 1)] = Agreement.DIFFERENT


def slow(rows: NDArray[np.void], rng: np.random.Generator) -> None:
    del rng
    rows["done_ns"][rows["arm"] == 1] += 20 * NS_PER_MS


def disturbing(rows: NDArray[np.void], rng: np.random.Generator) -> None:
    """Users wait longer wherever copies are sent."""
    del rng
    if rows["mirror"].any():
        rows["done_ns"] += 20 * NS_PER_MS


def late_for_all(rows: NDArray[np.void], rng: np.random.Generator) -> None:
    """Either version, alike: no comparison sees it."""
    del rng
    rows["done_ns"] += 40 * NS_PER_MS


def patchy(rows: NDArray[np.void], rng: np.random.Generator) -> None:
    """Now and then a request is answered by nobody, whatever is done."""
    hit = rng.random(len(rows)) < 0.003
    rows["outcome"][hit], rows["status"][hit] = Outcome.ERROR, -1


def losing(rows: NDArray[np.void], rng: np.random.Generator) -> None:
    """What is sent just after green got the traffic is answered by nobody."""
    del rng
    first = (rows["arm"] == 1) & (rows["seq"] < 30)
    rows["outcome"][first], rows["status"][first] = Outcome.ERROR, -1


def scoreless(rows: NDArray[np.void], rng: np.random.Generator) -> None:
    del rng
    rows["score"] = np.nan


def half(payload: NDArray[np.int64]) -> Any:
    return (payload // 2 * 2654435761 >> 7) % 2


def nobody(payload: NDArray[np.int64]) -> Any:
    return np.zeros(len(payload), np.uint8)


def everybody(payload: NDArray[np.int64]) -> Any:
    return np.ones(len(payload), np.uint8)


def ab(path: Path, harm: Harm = healthy, *, complete: bool = True, arm: Any = half, **keys: Any) -> Result:
    told = {"name": "ab-test", "procedure": "ab-test", "rate_rps": RATE, "pilot_s": 6, "duration_s": 20, **keys}
    run = Writer(path, ab_test.Settings.model_validate(told), harm)
    run.phase("pilot", 6, nobody)
    run.moved(0.5)
    run.phase("experiment", 20, arm)
    return run.judged(complete=complete)


def shadowed(path: Path, harm: Harm = healthy, *, complete: bool = True, pairs: int = 10, **keys: Any) -> Result:
    told = {"name": "shadow", "procedure": "shadow", "rate_rps": RATE, "duration_s": 20, "disagreement": 0.005, **keys}
    run = Writer(path, shadow.Settings.model_validate(told), harm)
    for pair in range(pairs):
        for kind in ("mirrored", "plain") if pair % 2 else ("plain", "mirrored"):
            run.phase(f"{kind} {pair + 1}", 1, nobody, mirror=kind == "mirrored")
    return run.judged(complete=complete)


def switched(
    path: Path, harm: Harm = healthy, *, complete: bool = True, taken_back: bool = False, **keys: Any
) -> Result:
    told = {"name": "blue-green", "procedure": "blue-green", "rate_rps": RATE, **keys}
    run = Writer(path, blue_green.Settings.model_validate(told), harm)
    run.phase("blue", 10, nobody)
    run.moved(1.0, "green")
    run.phase("green", 18, everybody)
    if taken_back:
        run.event("rollback", guard="failures", reason="8 % of its requests fail")
        run.moved(0.0, "failures")
        return run.judged(complete=complete)
    run.moved(0.0, "blue again")
    run.phase("blue again", 2, nobody)
    run.moved(1.0, "green for good")
    run.event("retire", arm=0, told_ns=run.now_ns, stops=True)
    run.phase("green for good", 3, everybody)
    run.event("server", what="stopped", arm=0)
    return run.judged(complete=complete)


RUNS: Mapping[str, Callable[..., Result]] = {"ab-test": ab, "shadow": shadowed, "blue-green": switched}


def causes(result: Result) -> set[str]:
    return {check.cause for check in result.checks if check.status is Status.FAIL}


@pytest.mark.parametrize("name", RUNS)
def test_what_is_healthy_passes(name: str, tmp_path: Path) -> None:
    result = RUNS[name](tmp_path / "run")
    assert result.status is Status.PASS, [(check.name, check.evidence) for check in result.checks]
    assert result.headline


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize(
    ("harm", "cause"), [(failing, "canary-errors"), (differing, "wrong-predictions"), (slow, "canary-slower")]
)
def test_harm_is_found_and_named(name: str, harm: Harm, cause: str, tmp_path: Path) -> None:
    result = RUNS[name](tmp_path / "run", harm)
    if name == "shadow" and harm is slow:  # an arm of copies alone: they are slow, and nobody waits for them
        assert cause in causes(result)
        assert "mirroring-harms-users" not in causes(result)
    assert result.status is Status.FAIL
    assert cause in causes(result)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_cut_short_never_passes(name: str, tmp_path: Path) -> None:
    assert RUNS[name](tmp_path / "run", complete=False).status is not Status.PASS


def test_what_fails_an_experiment_is_said_before_what_holds(tmp_path: Path) -> None:
    first, second, *_ = ab(tmp_path / "run", failing).headline
    assert first.startswith("The second version is worse: its share ok differs by")
    assert second.startswith("The second version's mean prediction is not worse")


@pytest.mark.parametrize(
    "settings",
    [
        ab_test.Settings(name="ab-test", procedure="ab-test"),
        shadow.Settings(name="shadow", procedure="shadow"),
        blue_green.Settings(name="blue-green", procedure="blue-green"),
    ],
    ids=lambda settings: settings.name,
)
def test_a_second_version_that_never_starts_fails(settings: Scenario, tmp_path: Path) -> None:
    run = Writer(tmp_path / "run", settings, healthy)
    run.event("canary-never-started", what="it exited with status 3", evidence="no such model")
    result = run.judged()
    assert result.status in {Status.FAIL, Status.INVALID}
    assert causes(result) == {"canary-down"}


def test_users_who_wait_longer_for_the_copies_are_a_failure(tmp_path: Path) -> None:
    result = shadowed(tmp_path / "run", disturbing)
    assert result.status is Status.FAIL
    assert causes(result) == {"mirroring-harms-users"}


def test_a_green_that_was_taken_back_says_when_and_why(tmp_path: Path) -> None:
    result = switched(tmp_path / "run", failing, taken_back=True)
    assert result.status is Status.FAIL
    assert "taken back" in result.headline[0]
    assert result.details["touched"] > 0


def test_a_green_that_was_taken_back_never_passes_though_nothing_else_is_found(tmp_path: Path) -> None:
    result = switched(tmp_path / "run", taken_back=True)
    assert [check.name for check in result.checks if check.status is Status.FAIL] == ["rolled-back"]
    assert result.status is Status.FAIL


def test_what_switches_lose_is_told_from_what_is_lost_anyhow(tmp_path: Path) -> None:
    assert switched(tmp_path / "good", patchy).status is Status.PASS
    assert "dropped-in-flight" in causes(switched(tmp_path / "bad", losing))


@pytest.mark.parametrize("name", RUNS)
def test_the_slo_of_the_version_that_serves_is_judged_where_one_is_set(name: str, tmp_path: Path) -> None:
    slo = {"p50_ms": 20.0, "ok_share": 0.99}
    assert RUNS[name](tmp_path / "kept", slo=slo).status is Status.PASS
    broken = RUNS[name](tmp_path / "broken", late_for_all, slo=slo)
    assert [check.name for check in broken.checks if check.status is Status.FAIL] == ["p50"]


def wrong_all_over(rows: NDArray[np.void], rng: np.random.Generator) -> None:
    del rng
    rows["outcome"] = Outcome.WRONG


def failing_all_over(rows: NDArray[np.void], rng: np.random.Generator) -> None:
    hit = rng.random(len(rows)) < 0.2
    rows["outcome"][hit], rows["status"][hit] = Outcome.ERROR, 500


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize(("harm", "check"), [(wrong_all_over, "wrong_share"), (failing_all_over, "ok_share")])
def test_two_versions_that_are_broken_alike_fail(name: str, harm: Harm, check: str, tmp_path: Path) -> None:
    result = RUNS[name](tmp_path / "run", harm)
    assert result.status is Status.FAIL
    assert check in {one.name for one in result.checks if one.status is Status.FAIL}
    assert result.headline[0].startswith("The baseline itself does not serve")


@pytest.mark.parametrize("name", RUNS)
def test_a_limit_that_somebody_set_to_its_default_binds_as_any_other(name: str, tmp_path: Path) -> None:
    for slo, seen in (({}, 0), ({"ok_share": 0.999}, 1)):
        result = RUNS[name](tmp_path / str(seen), slo=slo)
        assert sum(one.name == "ok_share" for one in result.checks) == seen


def test_users_who_change_sides_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    result = ab(tmp_path / "run", arm=lambda payload: rng.integers(0, 2, len(payload)))
    assert "unstable-assignment" in causes(result)


def test_one_user_who_changes_sides_is_a_slip(tmp_path: Path) -> None:
    def strays(payload: NDArray[np.int64]) -> Any:
        arm = np.asarray(half(payload)).copy()
        arm[np.flatnonzero(payload // 2 == 7)[-1:]] ^= 1
        return arm

    result = ab(tmp_path / "run", arm=strays)
    assert "1 of " in next(check.evidence for check in result.checks if check.name == "assignment")
    assert result.status is Status.PASS


@pytest.mark.parametrize("analysis", ["fixed", "sequential"])
def test_a_metric_that_was_never_seen_is_no_pass(analysis: str, tmp_path: Path) -> None:
    result = ab(tmp_path / "run", scoreless, metric="score", analysis=analysis)
    assert result.status is Status.INCONCLUSIVE
    [unsettled] = [check for check in result.checks if check.name == "score-difference"]
    assert (unsettled.status, bool(unsettled.settle)) == (Status.INCONCLUSIVE, True)
    assert "no answer held a prediction" in unsettled.evidence
    assert result.headline[0].startswith("Undecided")


def test_the_checks_of_an_experiment_share_one_error_rate() -> None:
    settings = ab_test.Settings(name="ab-test", procedure="ab-test", metric="score")
    nobody_named, named = Users.of(None), Users.of(np.arange(8, dtype=np.int32))
    pilot = Samples(np.zeros(0, SAMPLE_DTYPE))
    for users, others in ((nobody_named, 2), (named, 3)):  # the split and the SLO; who changed sides
        asked = ab_test._questions(pilot, users, settings)
        assert asked.metrics == ("score", "ok_share", "latency_p50_ms")
        assert asked.alpha_fail * (len(asked.metrics) + others) == pytest.approx(settings.alpha_fail)


def test_requests_forced_to_the_second_version_are_left_out_live_as_afterwards() -> None:
    settings = ab_test.Settings(
        name="ab-test", procedure="ab-test", metric="ok_share", guardrails=(), duration_s=20, rate_rps=300
    )
    rng = np.random.default_rng(4)
    rows = np.zeros(6000, SAMPLE_DTYPE)
    rows["intended_ns"] = BEGIN + np.arange(6000) * (NS_PER_S // 300)
    rows["done_ns"] = rows["intended_ns"] + 2 * NS_PER_MS
    rows["payload"] = rng.integers(0, PAYLOADS, 6000)
    rows["arm"] = half(rows["payload"].astype(np.int64))
    rows["outcome"] = Outcome.OK
    forced = frozenset(range(0, PAYLOADS, 8))
    hit = np.isin(rows["payload"], list(forced))
    rows["arm"][hit], rows["outcome"][hit] = 1, Outcome.ERROR
    users = Users.of(np.arange(PAYLOADS, dtype=np.int32) // 2)
    asked = ab_test._questions(Samples(rows[~hit]), users, settings)
    sees = [ab_test._Watch(asked, users, settings, BEGIN, out).look(Samples(rows)) for out in (frozenset(), forced)]
    assert [trip is not None and trip.reason.startswith("worse") for trip in sees] == [True, False]


def test_a_split_that_was_not_asked_for_is_named(tmp_path: Path) -> None:
    result = ab(tmp_path / "run", arm=lambda payload: (payload // 2) % 4 == 0)
    assert "split-mismatch" in causes(result)


def test_a_sequence_of_looks_comes_to_the_same_end(tmp_path: Path) -> None:
    assert ab(tmp_path / "good", analysis="sequential", guardrails=[]).status is Status.PASS
    assert "canary-slower" in causes(ab(tmp_path / "bad", slow, analysis="sequential"))


@pytest.mark.parametrize("name", RUNS)
def test_the_report_is_written(name: str, tmp_path: Path) -> None:
    result = RUNS[name](tmp_path / "run", failing)
    write_json(tmp_path / "run" / "result.json", result_to_json(result))
    text = md.create().render([view(RunRecord(tmp_path / "run"))])
    assert result.headline[0][:20] in text
