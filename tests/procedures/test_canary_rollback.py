"""canary-rollback judges rollouts that were played out: what is sound passes, what is not is named or left open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.errors import InputError
from proofload.judging import judge
from proofload.procedures import canary_rollback
from proofload.procedures._rollout.guarding import SETTLED_NS, Deployed, Guarding
from proofload.procedures._rollout.judging import _moves
from proofload.records import SAMPLE_DTYPE, Event, Outcome, Result, Samples, Status
from proofload.scenarios import load_scenario
from proofload.store.folder import write_json
from proofload.store.record import RunRecord
from proofload.testing.played_rollout import RATE, RESET, SECONDS, STAGES, START, USERS, V1, V2, Play, Rows, Spoil
from proofload.verdict.rollout import Switch


def settings(**changes: Any) -> canary_rollback.Settings:
    keys = {
        "name": "canary-rollback",
        "procedure": "canary-rollback",
        "rate_rps": RATE,
        "stages": STAGES,
        "block_s": 1.0,
        "disagreement": 0.01,
        "error_margin": 0.01,
        "tail_margin": 0.02,
        "slower_margin": 0.1,
    }
    return canary_rollback.Settings.model_validate(
        {**keys, "stage_s": [float(s) for s in SECONDS], "timeout_s": 1.0, **changes}
    )


def played(tmp_path: Path, play: Play, **changes: Any) -> Result:
    return judge(RunRecord(play.write(tmp_path / "run", settings(**changes))))


def failing(share: float, arm: int = 1) -> Spoil:
    def spoil(rows: Rows, rng: np.random.Generator) -> None:
        hit = (rows["arm"] == arm) & (rng.random(len(rows)) < share) & (rows["phase"] > 1) & (rows["phase"] < 8)
        rows["outcome"][hit], rows["status"][hit], rows["version"][hit] = Outcome.ERROR, 500, 0

    return spoil


def slow(share: float, by_ns: int, arms: tuple[int, ...] = (1,)) -> Spoil:
    def spoil(rows: Rows, rng: np.random.Generator) -> None:
        hit = np.isin(rows["arm"], arms) & (rng.random(len(rows)) < share)
        rows["done_ns"][hit] += by_ns

    return spoil


def wrong(rows: Rows, rng: np.random.Generator) -> None:
    rows["outcome"][(rows["arm"] == 1) & (rng.random(len(rows)) < 0.05)] = Outcome.WRONG


def mislabelled(rows: Rows, _rng: np.random.Generator) -> None:
    rows["version"][rows["arm"] == 1] = V2


def dropping(arm: int) -> Spoil:
    def spoil(rows: Rows, _rng: np.random.Generator) -> None:
        long = (rows["done_ns"] - rows["sent_ns"] == 15 * NS_PER_MS) & (rows["arm"] == arm)
        rows["outcome"][long], rows["status"][long], rows["error"][long] = Outcome.ERROR, -1, RESET

    return spoil


def causes(result: Result) -> set[str]:
    return {check.cause for check in result.checks if check.status is Status.FAIL}


@pytest.mark.parametrize(
    "spoil", [None, failing(0.02, arm=0), slow(0.005, 300 * NS_PER_MS, (0, 1))], ids=["identical", "better", "stalling"]
)
def test_a_sound_second_version_passes(tmp_path: Path, spoil: Spoil | None) -> None:
    result = played(tmp_path, Play(spoil))
    assert result.status is Status.PASS, [(c.name, c.status, c.evidence) for c in result.checks]
    assert "held" in result.headline[0]
    assert result.details["rolled_back"] is False


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (failing(0.3), "canary-errors"),
        (slow(0.2, 200 * NS_PER_MS), "canary-slow-tail"),
        (slow(1.0, 8 * NS_PER_MS), "canary-slower"),
        (wrong, "wrong-predictions"),
        (mislabelled, "wrong-version"),
    ],
)
def test_what_the_canary_does_worse_is_named(tmp_path: Path, spoil: Spoil, cause: str) -> None:
    result = played(tmp_path, Play(spoil))
    assert result.status is Status.FAIL
    assert cause in causes(result)


def test_the_story_of_a_rollback_is_told_in_figures(tmp_path: Path) -> None:
    result = played(tmp_path, Play(failing(0.4), rolled_at_s=20.0))
    assert result.status is Status.FAIL
    assert result.details["times"]["detect_s"] == pytest.approx(20.0, abs=0.01)
    assert 0 <= result.details["times"]["roll_back_s"] < 0.1
    assert result.details["radius"]["after_the_trip"] == 0
    assert result.details["radius"]["failed"] > 100
    assert "Rolled back by itself: the canary fails more often" in result.headline[0]
    in_flight = next(check for check in result.checks if check.name == "in-flight-canary")
    assert in_flight.status is not Status.FAIL


@pytest.mark.parametrize(("arm", "name"), [(0, "in-flight-baseline"), (1, "in-flight-canary")])
def test_requests_lost_when_a_version_is_told_to_end_are_its_fault(tmp_path: Path, arm: int, name: str) -> None:
    result = played(tmp_path, Play(dropping(arm)))
    assert result.status is Status.FAIL
    assert [(c.name, c.cause) for c in result.checks if c.status is Status.FAIL] == [(name, "dropped-in-flight")]


def test_users_who_change_sides_are_seen(tmp_path: Path) -> None:
    assert "unstable-assignment" in causes(played(tmp_path, Play(wander=True)))


def test_without_users_there_is_no_assignment_to_keep(tmp_path: Path) -> None:
    result = played(tmp_path, Play(users=False, wander=True))
    assert result.status is Status.PASS
    assert "assignment" not in {check.name for check in result.checks}


@pytest.mark.parametrize(
    ("changes", "guards"),
    [
        ({"error_margin": 0.0005}, {"guard-errors", "guard-wrong-answers"}),
        ({"tail_margin": 0.0005}, {"guard-slower-p99", "guard-slower-tail"}),
        ({"disagreement": 0.001}, {"guard-predictions"}),
    ],
)
def test_what_so_few_answers_cannot_bound_is_no_pass(
    tmp_path: Path, changes: dict[str, float], guards: set[str]
) -> None:
    result = played(tmp_path, Play(), **changes)
    assert result.status is Status.INCONCLUSIVE
    open_still = {check.name: check.settle for check in result.checks if check.status is Status.INCONCLUSIVE}
    assert set(open_still) == guards
    assert all("times as many answers" in settle for settle in open_still.values())


def test_errors_too_few_to_trip_and_too_many_to_tolerate_are_no_pass(tmp_path: Path) -> None:
    def now_and_then(rows: Rows, rng: np.random.Generator) -> None:
        at = rows["intended_ns"] // NS_PER_S % 3 == 0  # so that the guard does not see it again and again
        hit = at & (rows["arm"] == 1) & (rng.random(len(rows)) < 0.02) & (rows["phase"] > 1) & (rows["phase"] < 8)
        rows["outcome"][hit], rows["status"][hit], rows["version"][hit] = Outcome.ERROR, 500, 0

    result = played(tmp_path, Play(now_and_then), error_margin=0.005)
    check = next(check for check in result.checks if check.name == "guard-errors")
    assert check.status is Status.INCONCLUSIVE, check.evidence


@pytest.mark.parametrize(("p99_ms", "status"), [(1.0, Status.FAIL), (100.0, Status.PASS)])
def test_the_slo_is_that_of_the_version_that_ends_up_serving(tmp_path: Path, p99_ms: float, status: Status) -> None:
    result = played(tmp_path, Play(), slo={"p99_ms": p99_ms, "ok_share": 0.99})
    assert result.status is status
    assert next(check.status for check in result.checks if check.name == "p99") is status


def broken(outcome: Outcome, share: float) -> Spoil:
    """Both versions alike, so that no guard sees it."""

    def spoil(rows: Rows, rng: np.random.Generator) -> None:
        rows["outcome"][rng.random(len(rows)) < share] = outcome

    return spoil


@pytest.mark.parametrize(
    ("spoil", "name"), [(broken(Outcome.WRONG, 1.0), "wrong_share"), (broken(Outcome.ERROR, 0.2), "ok_share")]
)
def test_two_versions_that_are_broken_alike_fail(tmp_path: Path, spoil: Spoil, name: str) -> None:
    result = played(tmp_path, Play(spoil))
    assert result.status is Status.FAIL
    assert name in {check.name for check in result.checks if check.status is Status.FAIL}
    assert result.headline[0].startswith("The baseline itself does not serve")


def test_a_limit_binds_fully_where_it_was_set_be_it_to_the_default(tmp_path: Path) -> None:
    for name, slo, status in (("unset", {}, Status.PASS), ("set", {"ok_share": 0.999}, Status.INCONCLUSIVE)):
        result = judge(RunRecord(Play().write(tmp_path / name, settings(slo=slo))))
        limits = {check.name: check.status for check in result.checks if check.name in {"ok_share", "wrong_share"}}
        assert limits == ({"ok_share": status, "wrong_share": Status.PASS} if slo else {})
        assert result.status is status  # so few answers cannot show 99.9 %


def test_after_a_rollback_the_slo_is_that_of_the_baseline(tmp_path: Path) -> None:
    result = played(tmp_path, Play(failing(0.4), rolled_at_s=20.0), slo={"ok_share": 0.99})
    assert next(check.status for check in result.checks if check.name == "ok_share") is Status.PASS
    assert result.status is Status.FAIL  # for the guard


@pytest.mark.parametrize("changes", [{"slower": 4.0}, {"slower_ms": 50.0}])
def test_what_counts_as_slower_is_the_scenarios_to_say(tmp_path: Path, changes: dict[str, float]) -> None:
    result = played(tmp_path, Play(slow(1.0, 8 * NS_PER_MS)), **changes)  # "canary-slower" by default
    assert "guard-slower-p50" not in {check.name for check in result.checks if check.status is Status.FAIL}
    asked = settings(tail_factor=5.0, tolerated=0.4)
    assert (asked.rules().tail_factor, asked.tolerances().slips) == (5.0, 0.4)


def test_what_moves_lost_is_open_where_as_much_is_lost_at_any_time(tmp_path: Path) -> None:
    def lossy(rows: Rows, rng: np.random.Generator) -> None:
        hit = rng.random(len(rows)) < 0.03
        rows["outcome"][hit], rows["status"][hit] = Outcome.ERROR, -1

    moves = next(check for check in played(tmp_path, Play(lossy)).checks if check.name == "moves")
    assert (moves.status, bool(moves.settle)) == (Status.INCONCLUSIVE, True)
    assert "at any time" in moves.evidence
    nothing_else = _moves(np.zeros(0, np.bool_), Switch("moves", 30, 0), 0.001, 0.001)
    assert nothing_else.status is Status.INCONCLUSIVE


def test_a_pass_without_anything_to_compare_predictions_with_says_so(tmp_path: Path) -> None:
    folder = Play(mirror=0.0).write(tmp_path / "blind", settings())
    run = RunRecord(folder).run
    write_json(folder / "run.json", {**run, "payloads": {**run["payloads"], "with_expectation": 0}})
    blind = judge(RunRecord(folder))
    assert blind.status is Status.PASS
    assert blind.headline[-1].startswith("Correctness was not checked")
    assert "wrong" not in blind.headline[0]
    seeing = played(tmp_path, Play(mirror=0.0))
    assert "0 wrong" in seeing.headline[0]
    assert not any("not checked" in sentence for sentence in seeing.headline)


def test_a_canary_that_never_starts_fails(tmp_path: Path) -> None:
    events = [Event(START, "canary-never-started", {"what": "it died", "evidence": ""})]
    result = played(tmp_path, Play(stages=0, retire=False, events=events))
    assert (result.status, causes(result)) == (Status.FAIL, {"canary-down"})


def test_a_run_that_ends_early_never_passes(tmp_path: Path) -> None:
    result = played(tmp_path, Play(complete=False, stages=2, retire=False))
    assert result.status is Status.INVALID
    result = judge(RunRecord(Play(stages=2, retire=False).write(tmp_path / "other", settings())))
    assert result.status is Status.INCONCLUSIVE


def test_a_group_without_data_never_passes(tmp_path: Path) -> None:
    def away(rows: Rows, _rng: np.random.Generator) -> None:
        rows["arm"][(rows["phase"] > 1) & (rows["phase"] < 8)] = 0

    assert played(tmp_path, Play(away)).status is not Status.PASS


def test_the_same_rules_on_the_same_requests_trip_live_as_afterwards(tmp_path: Path) -> None:
    scenario = settings()
    record = RunRecord(Play(failing(0.4)).write(tmp_path / "run", scenario))
    after = judge(record)
    deployed = Deployed(None, None, same=True, answers_checked=True, mirrored=True, users=np.arange(USERS))
    rules = deployed.rules(scenario.rules())
    guarding = Guarding(deployed, rules, Samples(np.zeros(0, SAMPLE_DTYPE)), lambda: {V1: "1.0", V2: "0.9"})
    moves = [
        event.detail for event in record.events if event.kind == "share" and event.detail["why"].startswith("stage")
    ]
    guarding.baseline(record.phases[1].start_ns, moves[0]["asked_ns"])
    table = np.concatenate([record.samples(phase.index).table for phase in record.phases[1:]])
    table = table[np.argsort(table["intended_ns"], kind="stable")]
    tripped = None
    for low in range(0, len(table), 37):
        now = int(table["intended_ns"][low])
        while moves and moves[0]["asked_ns"] <= now:
            guarding.end(moves[0]["asked_ns"])
            guarding.begin(moves.pop(0)["done_ns"])
        tripped = guarding(Samples(table[low : low + 37]))
        if tripped is not None:
            break
    assert tripped is not None
    assert tripped.guard == "errors"
    assert guarding.watch is not None
    live = guarding.watch.paths()["errors"] / np.log(10)
    assert after.details["series"]["log10_e"]["errors"][: len(live)] == pytest.approx(live, abs=1e-3)
    assert guarding.watch.blocks[0].start_ns == pytest.approx(
        table["intended_ns"][0] + 5 * NS_PER_S + SETTLED_NS, abs=1e7
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"stages": [0.5, 0.25]},
        {"stage_s": [1.0]},
        {"driver": {}},
        {"canary_header": "X-Canary"},
        {"hold_back": 0.4, "stages": [0.3]},
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"stage|table|header|hold_back"):
        settings(**changes)


def test_a_driver_that_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="no driver named 'clint'"):
        settings(driver={"name": "clint"}).mover()


def test_the_quick_form_takes_a_minute_at_most() -> None:
    quick = load_scenario("canary-rollback", quick=True)
    assert isinstance(quick, canary_rollback.Settings)
    assert quick.settle_in_s + quick.baseline_s + sum(quick.lengths()) + 6 <= 60
    assert quick.shares() == (0.05, 0.25, 0.5, 0.95)
