"""From a run folder to its result; from a damaged one to a message."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from proofload.clock import NS_PER_S
from proofload.errors import RunFolderError
from proofload.judging import judge
from proofload.procedures import load
from proofload.records import Event, Result, Status
from proofload.store.folder import RunFolder
from proofload.store.record import RunRecord
from proofload.testing.simulated_bench import queue, simulated_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that passes."""
    slo = {"p99_ms": 20, "ok_share": 0.99}
    scenario = load.Settings.model_validate(
        {"name": "load", "procedure": "load", "rate_rps": 500, "duration_s": 20, "slo": slo}
    )
    with simulated_run(tmp_path / "run", scenario, queue(0.0005)) as bench:
        load.create().conduct(bench, scenario)
    return tmp_path / "run"


def judged(folder: Path) -> Result:
    return judge(RunRecord(folder))


def spoiled(result: Result) -> list[str]:
    return [item.code for item in result.validity if not item.ok]


def rewritten(folder: Path, **changes: Any) -> None:
    path = folder / "run.json"
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), **changes}))


def without_events(folder: Path, *kinds: str) -> None:
    path = folder / "events.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if orjson.loads(line)["kind"] not in kinds))


def test_a_complete_run_is_judged(folder: Path) -> None:
    result = judged(folder)
    assert (result.status, spoiled(result)) == (Status.PASS, [])
    assert result.duration_s == pytest.approx(25, abs=1)
    assert result.target["name"] == "simulated"


def test_a_run_without_its_end_is_invalid_because_the_lab_was_killed(folder: Path) -> None:
    without_events(folder, "run-complete", "phase-planned")
    result = judged(folder)
    assert (result.status, spoiled(result)) == (Status.INVALID, ["interrupted"])
    [phase] = result.phases
    assert phase.outcomes["ok"] > 9000


def test_a_run_that_lost_samples_is_invalid(folder: Path) -> None:
    for path in (folder / "samples").iterdir():
        path.unlink()
    result = judged(folder)
    assert result.status is Status.INVALID
    assert {"conservation", "no-data"} <= set(spoiled(result))


def test_a_run_in_which_nothing_ran_is_invalid(folder: Path) -> None:
    (folder / "events.jsonl").unlink()
    assert spoiled(judged(folder)) == ["no-data", "interrupted"]


def test_a_target_that_died_has_failed_even_where_the_client_was_late(folder: Path) -> None:
    without_events(folder, "health")
    writer = RunFolder(folder, RunRecord(folder).run)
    writer.add_event(Event(1, "target-died", {"what": "target x died: it ended by SIGKILL", "evidence": "last words"}))
    writer.close()
    result = judged(folder)
    assert result.status is Status.FAIL
    assert result.checks[0].name == "target-stays-up"
    assert "last words" in result.checks[0].evidence


def died(folder: Path, *, at_s: float, evidence: str) -> Result:
    """As the lab records it."""
    record = RunRecord(folder)
    writer = RunFolder(folder, record.run)
    [phase] = record.phases
    writer.add_event(Event(phase.start_ns + round(at_s * NS_PER_S), "phase-cut", {"phase": 0, "ran_s": at_s}))
    told = {"what": "target x died during the run: it ended with exit status 2", "cause": "", "evidence": evidence}
    writer.add_event(Event(phase.start_ns + round((at_s + 3) * NS_PER_S), "target-died", told))
    writer.close()
    return judged(folder)


def test_a_death_under_load_is_told_first_with_how_when_and_at_what_rate(folder: Path) -> None:
    log = "the end of logs/0-x.log:\nstarting\npanic: too many clients\ngoroutine 1 [running]:"
    result = died(folder, at_s=4.0, evidence=log)
    first, words, remedy = result.headline
    assert first.endswith("died under load: it ended with exit status 2, 4.00 s into “load”, at about 500 requests/s.")
    assert words == "Its last words: “panic: too many clients”."
    assert "read the end of its log" in remedy
    assert (result.checks[0].name, result.checks[0].cause) == ("target-stays-up", "dies-under-load")
    assert "4.00 s into “load”" in result.checks[0].evidence


def test_a_death_while_the_last_requests_were_on_their_way_names_the_phase_before(folder: Path) -> None:
    writer = RunFolder(folder, RunRecord(folder).run)
    told = {"what": "target x died during the run", "cause": "it was started elsewhere", "evidence": "gone"}
    writer.add_event(Event(2**62, "target-died", told))
    writer.close()
    said = judged(folder).headline[0]
    assert said.endswith("died under load: after “load”, which was at about 500 requests/s; it was started elsewhere.")


def test_a_death_on_a_ramp_is_told_at_the_rate_of_its_last_second(tmp_path: Path) -> None:
    scenario = load.Settings.model_validate(
        {
            "name": "load",
            "procedure": "load",
            "arrival": "ramp",
            "rate_rps": 100,
            "shape": {"to_rps": 300},
            "duration_s": 20,
            "warmup_s": 0,
        }
    )
    with simulated_run(tmp_path, scenario, queue(0.0005)) as bench:
        load.create().conduct(bench, scenario)
    said = died(tmp_path, at_s=15.0, evidence="").headline[0]
    rate = re.search(r"at about (\d+) requests/s", said)
    assert rate is not None
    assert 230 < int(rate[1]) < 260


def test_what_a_death_left_open_is_not_to_be_settled_by_other_settings(folder: Path) -> None:
    for path in (folder / "samples").iterdir():
        path.unlink()
    result = died(folder, at_s=4.0, evidence="its log is empty (logs/0-x.log)")
    assert "last words" not in " ".join(result.headline)
    advice = {check.settle for check in result.checks if check.status is Status.INCONCLUSIVE}
    assert advice == {"a run that the target survives: mend first what ended it"}
    [no_data] = [item for item in result.validity if item.code == "no-data"]
    assert no_data.detail.endswith("the target died before")


@pytest.mark.parametrize(
    "changes",
    [
        {"scenario": {"procedure": "load"}},
        {"scenario": None},
        {"scenario": []},
        {"payloads": {}},
        {"placement": {}},
        {"placement": None},
        {"target": None},
        {"environment": None, "started_at": None, "payloads": None},
    ],
)
def test_a_run_json_with_holes_is_told_as_damage(folder: Path, changes: dict[str, Any]) -> None:
    rewritten(folder, **changes)
    with pytest.raises(RunFolderError) as caught:
        judged(folder)
    assert str(folder) in caught.value.what
    assert caught.value.remedy


@pytest.mark.parametrize(
    "line",
    [
        b'{"t_ns": 1, "kind": "phase", "detail": {}}',
        b'{"t_ns": 1, "kind": "phase", "detail": 7}',
        b'{"t_ns": "1", "kind": "phase", "detail": {"phase": 0}}',
        b'{"t_ns": 1, "kind": "name", "detail": {"of": "error"}}',
        b'{"t_ns": 1001000000000, "kind": "health", "detail": {"cpu_share": "much"}}',
        b'{"t_ns": 1, "kind": "target-died", "detail": {}}',
    ],
)
def test_events_that_lack_what_they_must_have_are_told_as_damage(folder: Path, line: bytes) -> None:
    with (folder / "events.jsonl").open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(RunFolderError, match=re.escape(str(folder))):
        judged(folder)


def test_a_crash_while_judging_is_inconclusive_and_names_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise IndexError("nothing there")

    monkeypatch.setattr(load.Load, "judge", crash)
    result = judge(RunRecord(folder))
    assert result.status is Status.INCONCLUSIVE
    assert "IndexError: nothing there" in result.checks[0].evidence
