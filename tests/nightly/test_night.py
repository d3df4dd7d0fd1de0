"""A night: begun, interrupted, gone on with; and what is kept of old ones."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from proofload.cli.app import invoke
from proofload.errors import EXIT_BAD_INPUT, EXIT_FAIL, EXIT_INTERRUPTED, EXIT_NO_VERDICT, EXIT_PASS, InputError
from proofload.nightly import running
from proofload.nightly.alone import alone_in
from proofload.nightly.night import begin, nights, tonight
from proofload.nightly.plan import Cell, read_plan
from proofload.records import Result, Status
from proofload.run_process import Command, RunError
from proofload.testing.runtime_kit import running_stub
from proofload.testing.synthetic_nights import Made, a_cell, result_of, write_night, write_run

NOW = datetime(2026, 3, 1, 23, 50, tzinfo=UTC)
TARGETS = ("flask", "fastapi", "grpc")


@pytest.fixture(autouse=True)
def _in_a_folder_with_a_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nightly.toml").write_text(f'scenarios = ["load"]\ntargets = {list(TARGETS)}\n'.replace("'", '"'), "utf-8")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Targets in the order in which they were run, by something that only writes run folders."""
    order: list[str] = []

    def measured(command: Command) -> Result:
        order.append(str(command.target))
        cell = a_cell(str(command.target))
        write_run(command.out, cell, Made())
        return result_of(cell, Made())

    monkeypatch.setattr(running, "measured", measured)
    return order


def interrupted_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run but `count` is cut short: what it leaves is no whole run."""
    inner: Callable[[Command], Result] = vars(running)["measured"]
    done = [0]

    def measured(command: Command) -> Result:
        done[0] += 1
        if done[0] <= count:
            return inner(command)
        write_run(command.out, a_cell(str(command.target)), Made(complete=False))
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "measured", measured)


def test_a_night_runs_every_cell_once_and_ends_in_pages(ran: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["nightly"]) == EXIT_PASS
    assert sorted(ran) == sorted(TARGETS)
    assert Path("out/nightly/site/index.html").is_file()
    assert "3 of 3 cells pass." in capsys.readouterr().out


def test_an_interrupted_night_is_gone_on_with(ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        interrupted_after(1, patched)
        assert invoke(["nightly"]) == EXIT_INTERRUPTED
    assert len(ran) == 1
    assert "2 are missing" in Path("out/nightly/site/index.html").read_text(encoding="utf-8")
    assert invoke(["nightly"]) == EXIT_PASS
    assert sorted(ran) == sorted(TARGETS)
    (night,) = nights(Path("out/nightly"))
    assert night.missing() == []
    assert len(list((night.folder / "cells").glob("*.cut-1"))) == 1


def test_after_a_whole_night_comes_another(ran: list[str]) -> None:
    assert [invoke(["nightly"]) for _ in range(3)] == [EXIT_PASS] * 3
    first, *more = [night.name for night in nights(Path("out/nightly"))]
    assert more == [f"{first}.2", f"{first}.3"] or len({first, *more}) == 3  # midnight may have passed
    assert len(ran) == 9


def test_an_unfinished_night_is_taken_up_past_midnight_and_not_days_later() -> None:
    planned, out = read_plan(None), Path("n")
    night = tonight(out, planned, None, NOW)
    begin(night, planned)
    assert tonight(out, planned, None, NOW + timedelta(hours=3)) == night
    assert tonight(out, planned, None, NOW + timedelta(hours=30)).name == "2026-03-03"
    assert tonight(out, planned, night.name, NOW + timedelta(days=9)) == night


def test_a_night_keeps_the_cells_that_it_began_with(ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        interrupted_after(1, patched)
        assert invoke(["nightly"]) == EXIT_INTERRUPTED
    Path("nightly.toml").write_text('scenarios = ["load"]\ntargets = ["kafka"]\n', encoding="utf-8")
    assert invoke(["nightly"]) == EXIT_PASS
    assert sorted(ran) == sorted(TARGETS)


def test_a_cell_that_cannot_be_measured_is_missing_and_the_others_go_on(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inner: Callable[[Command], Result] = vars(running)["measured"]

    def measured(command: Command) -> Result:
        if command.target == "grpc":
            raise RunError("error: grpc cannot be started\n  evidence: port 1 is taken")
        return inner(command)

    monkeypatch.setattr(running, "measured", measured)
    assert invoke(["nightly"]) == EXIT_NO_VERDICT
    assert sorted(ran) == ["fastapi", "flask"]
    assert "Missing: load · grpc · cpu." in capsys.readouterr().out
    assert "grpc cannot be started" in Path("out/nightly/site/index.html").read_text(encoding="utf-8")


def test_a_failed_cell_or_a_change_for_the_worse_fails_the_night(many_nights: Callable[..., Path]) -> None:
    from proofload.cli.nightly import exit_code
    from proofload.nightly.chronicle import chronicle_of
    from proofload.nightly.history import Index

    out = many_nights(40, slower_from=30)
    history = chronicle_of(nights(out), Index(out, lambda _: None).rows())
    (told,) = [one.told_on for trend in history.trends if trend.name == "p99" for one in trend.changes]
    assert exit_code(history, told) == EXIT_FAIL
    assert exit_code(history, "2026-01-20") == EXIT_PASS
    write_night(out, 50, {a_cell(): Made(status=Status.FAIL), a_cell("grpc"): Made(status=Status.INVALID)})
    write_night(out, 51, {a_cell(): Made(status=Status.INVALID)})
    later = chronicle_of(nights(out), Index(out, lambda _: None).rows())
    assert (exit_code(later, "2026-02-20"), exit_code(later, "2026-02-21")) == (EXIT_FAIL, EXIT_NO_VERDICT)


@pytest.mark.parametrize("name", ["../up", "", "a b", ".hidden", "x" * 65])
def test_a_name_that_is_no_folders_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="night"):
        tonight(Path("n"), read_plan(None), name, NOW)
    assert invoke(["nightly", "--dry-run", "--night", name]) == EXIT_BAD_INPUT


def test_without_a_plan_the_way_to_one_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    Path("nightly.toml").unlink()
    assert invoke(["nightly"]) == EXIT_BAD_INPUT
    assert "proofload init --nightly" in capsys.readouterr().err


def test_a_dry_run_says_what_would_be_done_and_does_nothing(
    ran: list[str], capsys: pytest.CaptureFixture[str], many_nights: Callable[..., Path]
) -> None:
    out = many_nights(16)
    before = sorted(out.rglob("*"))
    assert invoke(["nightly", "--out", str(out), "--dry-run"]) == EXIT_PASS
    said = capsys.readouterr()
    assert "would begin night 2" in said.out
    assert "3 cells, in this order" in said.out
    assert "load.grpc.cpu" in said.out
    assert said.err.count("would remove samples of") == 6  # of the three nights beyond 14: tonight is one of them
    assert sorted(out.rglob("*")) == before
    assert ran == []


@pytest.mark.parametrize(
    ("words", "hours_ago", "would", "does"),
    [
        ((), 3, "go on with night", "2 of 3 cells to run"),
        ((), 48, "begin night", "3 of 3 cells to run"),
        (("--night", "old"), 48, "go on with night old", "night old: 2 of 3 cells to run"),
        (("--night", "old"), 480, "go on with night old", "night old: 2 of 3 cells to run"),
        (("--night", "new"), 3, "begin night new", "night new: 3 of 3 cells to run"),
    ],
)
def test_a_dry_run_says_what_the_next_call_does(
    ran: list[str], capsys: pytest.CaptureFixture[str], words: tuple[str, ...], hours_ago: int, would: str, does: str
) -> None:
    planned, out = read_plan(None), Path("out/nightly")
    began = datetime.now(UTC) - timedelta(hours=hours_ago)
    for night in (tonight(out, planned, "old", began), tonight(out, planned, "later", began + timedelta(hours=1))):
        begin(night, planned)
        write_run(night.run_folder(night.cells[0]), a_cell(night.cells[0].target), Made())
    assert invoke(["nightly", "--dry-run", *words]) == EXIT_PASS
    promised = capsys.readouterr().out
    assert f"would {would}" in promised
    assert invoke(["nightly", *words]) == EXIT_PASS
    assert does in capsys.readouterr().err
    assert ran == [line.split(".")[1] for line in promised.splitlines() if line.startswith("  ")]


def test_a_folder_that_is_no_night_is_not_begun(ran: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("out/nightly/nights/mine").mkdir(parents=True)
    for words in (["--dry-run"], []):
        assert invoke(["nightly", "--night", "mine", *words]) == EXIT_BAD_INPUT
        assert "is no night" in capsys.readouterr().err
    assert ran == []


def test_old_samples_go_and_history_and_pages_stay(ran: list[str], many_nights: Callable[..., Path]) -> None:
    out = many_nights(16)
    assert invoke(["nightly", "--rebuild", "--out", str(out)]) == EXIT_PASS
    assert invoke(["nightly", "--out", str(out)]) == EXIT_PASS
    kept = [bool(list(night.folder.glob("cells/*/samples"))) for night in nights(out)]
    assert kept == [False] * 3 + [True] * 14
    assert all((run / "report.html").is_file() for run in out.glob("nights/*/cells/*"))
    (out / "history.duckdb").unlink()
    from proofload.nightly.history import Index

    assert len(Index(out, lambda _: None).rows()) == 16 * 2 + 3


def test_two_nights_at_once_are_one_too_many(ran: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with alone_in(Path("out/nightly")):
        assert invoke(["nightly"]) == EXIT_BAD_INPUT
        assert invoke(["nightly", "--dry-run"]) == EXIT_PASS
    assert "another `proofload nightly` is at work" in capsys.readouterr().err
    assert ran == []
    assert invoke(["nightly"]) == EXIT_PASS


def test_rebuilding_where_there_are_no_nights_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["nightly", "--rebuild", "--out", "nowhere"]) == EXIT_BAD_INPUT
    assert "holds no nights" in capsys.readouterr().err
    assert not Path("nowhere").exists()


@pytest.mark.real
def test_a_night_that_was_killed_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    """A real run, killed by SIGKILL while it is under way."""
    with running_stub() as (port, _):
        target = f'name = "two"\ntransport = "http"\nurl = "http://127.0.0.1:{port}/predict"\npayloads = "p.jsonl"\n'
        Path("two.target.toml").write_text(target, encoding="utf-8")
        Path("p.jsonl").write_text('{"body": {"values": [1]}}\n', encoding="utf-8")
        Path("nightly.toml").write_text(
            'scenarios = ["load"]\ntargets = ["two"]\n[set]\nduration_s = 1\nwarmup_s = 0\nrate_rps = 50\n', "utf-8"
        )
        done, missing = a_cell("one"), Cell("load", "two", "cpu", "load", "two")
        night = write_night(Path("n"), 0, {done: Made(), missing: None})
        before = (night.run_folder(done) / "result.json").stat().st_mtime_ns
        command = [sys.executable, "-m", "proofload", "nightly", "--out", "n", "--night", night.name]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as first:
            while not (night.run_folder(missing) / "run.json").exists():
                assert first.poll() is None, "it ended before it measured"
                time.sleep(0.01)
            first.kill()
        assert night.missing() == [missing]
        again = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "1 of 2 cells to run" in again.stderr
    assert again.returncode in {EXIT_PASS, EXIT_FAIL, EXIT_NO_VERDICT}
    assert night.missing() == []
    assert (night.run_folder(done) / "result.json").stat().st_mtime_ns == before
