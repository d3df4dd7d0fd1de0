"""What a canary rollout says of itself: whom it touched, by how much it was slower, why it never began, and of a run
that is invalid no more than what was done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.procedures.test_canary_rollback import failing, played, settings, slow

from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.judging import judge
from proofload.lab import render_report
from proofload.procedures import canary_rollback
from proofload.records import Check, Event, Outcome, Result, Status
from proofload.scenarios import load_scenario
from proofload.store.record import RunRecord
from proofload.testing.played_rollout import RESET, START, Play, Rows, Spoil


def check_of(result: Result, name: str) -> Check:
    return next(check for check in result.checks if check.name == name)


def refusing(from_s: float, share: float = 1.0) -> Spoil:
    """The canary takes no connection from an instant on, so that nothing is sent to it."""

    def spoil(rows: Rows, rng: np.random.Generator) -> None:
        hit = (rows["arm"] == 1) & (rows["intended_ns"] > START + from_s * NS_PER_S) & (rows["phase"] < 8)
        hit &= (rng.random(len(rows)) < share) & (rows["phase"] > 0)
        rows["outcome"][hit], rows["status"][hit], rows["error"][hit] = Outcome.ERROR, -1, RESET
        rows["sent_ns"][hit], rows["version"][hit] = 0, 0

    return spoil


def test_requests_that_found_no_connection_count_among_those_that_a_bad_canary_touched(tmp_path: Path) -> None:
    folder = Play(refusing(20), rolled_at_s=20.0, guard="canary-down").write(tmp_path / "run", settings())
    record = RunRecord(folder)
    tables = [record.samples(phase.index).table for phase in record.phases if phase.measured]
    there = np.concatenate([table[(table["arm"] == 1) & (table["mirror"] == 0)] for table in tables])
    refused = int(np.count_nonzero(there["sent_ns"] == 0))
    result = judge(record)
    touched = result.details["radius"]
    assert refused > 100
    assert (touched["requests"], touched["failed"]) == (len(there), refused)
    assert f"sent {len(there):,} requests" in result.headline[1]
    assert f"{refused:,} of them failed" in result.headline[1]


def test_a_request_that_found_no_connection_went_to_the_canary_when_it_was_dispatched(tmp_path: Path) -> None:
    def straying(rows: Rows, _rng: np.random.Generator) -> None:
        late = (rows["phase"] == 9) & (np.arange(len(rows)) < 40)  # of those after the rollback, the first tenth of 1 s
        rows["arm"][late], rows["sent_ns"][late] = 1, 0
        rows["outcome"][late], rows["status"][late] = Outcome.ERROR, -1

    result = played(tmp_path, Play(straying, rolled_at_s=20.0))
    assert result.details["radius"]["after_the_trip"] == 40
    assert 0.09 < result.details["times"]["roll_back_s"] < 0.11


def test_what_found_no_connection_while_a_share_moved_is_told_beside_what_was_lost(tmp_path: Path) -> None:
    assert "no connection" in check_of(played(tmp_path, Play(refusing(0, 0.2))), "moves").evidence
    sound = judge(RunRecord(Play().write(tmp_path / "sound", settings())))
    assert "no connection" not in check_of(sound, "moves").evidence


def test_a_canary_that_never_starts_says_why(tmp_path: Path) -> None:
    why = "the end of 1-canary.log:\nTraceback (most recent call last):\nImportError: libcudart.so.12: cannot open it"
    events = [Event(START, "canary-never-started", {"what": "it died", "evidence": why})]
    result = played(tmp_path, Play(stages=0, retire=False, events=events))
    assert result.headline == ("The canary never started: it died (ImportError: libcudart.so.12: cannot open it).",)
    assert check_of(result, "canary-up").evidence == f"it died; {why}"


def test_a_slower_canary_is_told_with_both_medians_and_what_was_tolerated(tmp_path: Path) -> None:
    play = Play(slow(1.0, 8 * NS_PER_MS), rolled_at_s=25.0, guard="slower-p50")
    folder = play.write(tmp_path / "run", settings())
    result = judge(RunRecord(folder))
    seen = result.details["slow"]["slower-p50"]
    assert (seen["baseline_ms"], seen["canary_ms"]) == (pytest.approx(4.0, abs=0.2), pytest.approx(12.0, abs=0.2))
    assert seen["from_ms"] == pytest.approx(1.2 * seen["alone_ms"] + 1.0, abs=1e-5)
    first = result.headline[0]
    assert f"the canary is slower: p50 {seen['canary_ms']:.1f} ms, the baseline's" in first
    assert f"{seen['baseline_ms']:.2f} ms, and {seen['from_ms']:.2f} ms is tolerated (slower, slower_ms)" in first
    evidence = check_of(result, "guard-slower-p50").evidence
    assert f"p50 {seen['canary_ms']:.1f} ms, the baseline's {seen['baseline_ms']:.2f} ms" in evidence
    assert f"took over {seen['from_ms']:.2f} ms (slower, slower_ms)" in evidence
    assert len(evidence) < 320
    [page] = render_report([folder], ["md"])
    assert "Latency by version" in page.read_text(encoding="utf-8")


def test_percentiles_of_each_version_stand_side_by_side_stage_by_stage(tmp_path: Path) -> None:
    rows = played(tmp_path, Play(slow(1.0, 8 * NS_PER_MS))).details["latency"]
    assert [(row["share"], row["version"]) for row in rows] == [
        (None, "baseline"),
        *((share, version) for share in (0.05, 0.25, 0.5, 0.95) for version in ("baseline", "canary")),
    ]
    medians = {version: [row["latency"]["p50"] for row in rows if row["version"] == version] for version in ("canary",)}
    assert medians["canary"] == pytest.approx([12.0] * 4, abs=0.3)
    small = next(row for row in rows if (row["share"], row["version"]) == (0.05, "canary"))
    assert small["latency"]["p99"] is None  # of so few answers


def test_slow_answers_that_are_not_most_are_counted_and_not_called_much_slower(tmp_path: Path) -> None:
    result = played(tmp_path, Play(slow(0.4, 3 * NS_PER_MS), rolled_at_s=30.0, guard="slower-p50"))
    check = check_of(result, "guard-slower-p50")
    assert (check.status, check.cause) == (Status.FAIL, "canary-slow-tail")
    assert "more of the canary's answers are slow than of the baseline's: " in result.headline[0]
    assert "took longer than" in result.headline[0]
    assert "much slower" not in " ".join(result.headline)


@pytest.mark.parametrize("late", [True, False], ids=["a late client", "interrupted"])
def test_words_about_an_invalid_run_claim_no_failure(tmp_path: Path, late: bool) -> None:
    def spoil(rows: Rows, rng: np.random.Generator) -> None:
        failing(0.4)(rows, rng)
        if late:
            rows["dispatched_ns"] += 20 * NS_PER_MS
            rows["sent_ns"] += 20 * NS_PER_MS
            rows["done_ns"] += 20 * NS_PER_MS

    result = played(tmp_path, Play(spoil, rolled_at_s=20.0, complete=late))
    assert result.status is Status.INVALID
    assert any(check.status is Status.FAIL for check in result.checks)
    assert result.headline == (
        "What was done, without a verdict: the canary's share moved 5% → 25%, then the guard errors took it back.",
    )


def test_the_scenario_file_says_what_slower_means_and_changes_nothing_by_it() -> None:
    there, defaults = load_scenario("canary-rollback"), canary_rollback.Settings.model_fields
    assert isinstance(there, canary_rollback.Settings)
    for key in ("slower", "slower_ms", "tail_factor"):
        assert key in there.model_fields_set
        assert getattr(there, key) == defaults[key].default
