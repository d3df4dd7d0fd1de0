"""The command line as a whole: help, wrong words, bugs, pipes, signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from proofload.cli import app, failure
from proofload.cli.app import invoke
from proofload.errors import InputError, MeasurementError, ProofloadError, Unavailable

PROGRAM = [sys.executable, "-m", "proofload"]


def test_help_lists_the_commands_there_are(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["--help"]) == 0
    shown = capfd.readouterr().out
    for name in ("run", "report", "targets", "scenarios", "doctor", "fixtures", "serve"):
        assert f"\n  {name} " in shown
        assert invoke([name, "--help"]) == 0
    assert "Exit codes: 0 pass, 1 fail, 2 bad input" in " ".join(shown.split())


def test_no_words_at_all_show_the_help(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke([]) == 0
    assert "Commands:" in capfd.readouterr().out


def test_the_version_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["--version"]) == 0
    assert capfd.readouterr().out.startswith("proofload 0.")


@pytest.mark.parametrize(
    ("words", "says", "next_step"),
    [
        ("rnu load", "no such command 'rnu'", "did you mean run?"),
        ("zzz", "no such command 'zzz'", "`proofload --help` shows what there is"),
        ("run load --quik", "no such option: --quik", "did you mean --quick?"),
        ("run load --payload x", "no such option: --payload", "did you mean --payloads?"),
        ("run", "missing argument 'scenario'", "`proofload run --help` shows what there is"),
        ("run load extra", "extra", "`proofload run --help` shows what there is"),
        ("run load --out", "--out", "`proofload run --help` shows what there is"),
        ("run load --device gpu", "'gpu' is not one of 'cpu', 'cuda', 'tensorrt'", "`proofload run --help`"),
        ("serve flask --port 99999", "less than or equal to 65535", "`proofload serve --help`"),
        ("report", "missing argument", "`proofload report --help`"),
    ],
)
def test_wrong_words_are_told_in_our_way(
    capfd: pytest.CaptureFixture[str], words: str, says: str, next_step: str
) -> None:
    assert invoke(words.split()) == 2
    seen = capfd.readouterr()
    text = seen.err
    assert text.startswith("error: ")
    assert says in text
    assert next_step in text
    assert "Traceback" not in text
    assert seen.out == ""


def test_an_error_says_what_evidence_cause_and_next(capsys: pytest.CaptureFixture[str]) -> None:
    failure.show(InputError("it broke", evidence="line 1\nline [2]\x1b[31m", cause="a cause", remedy="do this"))
    assert capsys.readouterr().err == (
        "error: it broke\n  evidence: line 1\n    line [2]\\x1b[31m\n  likely cause: a cause\n  next: do this\n"
    )


@pytest.mark.parametrize(("error", "code"), [(Unavailable("x"), 2), (MeasurementError("x"), 3)])
def test_each_kind_of_error_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, error: ProofloadError, code: int
) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(app, "_dispatched", fail)
    assert invoke(["targets"]) == code


def test_a_bug_is_called_one_and_its_details_are_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(_: object) -> int:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(app, "_dispatched", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert invoke(["run", "load", "--set", "target.request.headers.Cookie=pw"]) == 3
    shown = capsys.readouterr().err
    assert "error: this is a bug in proofload: ZeroDivisionError: oh" in shown
    assert "Traceback" not in shown
    (kept,) = tmp_path.iterdir()
    assert str(kept) in shown
    text = kept.read_text(encoding="utf-8")
    assert "ZeroDivisionError" in text
    assert "command: proofload run load" in text
    assert "pw" not in text
    assert invoke(["targets", "--debug"]) == 3
    assert "Traceback" in capsys.readouterr().err


def test_debug_shows_the_traceback_of_a_users_error_too(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", "nothing-like-it", "--debug"]) == 2
    seen = capfd.readouterr().err
    assert "Traceback" in seen
    assert "\nerror: there is no scenario named" in seen


def test_listings_are_for_cut_and_grep_when_piped(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["targets"]) == 0
    rows = [line.split("\t") for line in capfd.readouterr().out.splitlines()]
    assert {row[0] for row in rows} >= {"flask", "fastapi", "grpc", "kafka"}
    assert all(len(row) == 3 and row[2].endswith(".toml") for row in rows)
    assert invoke(["scenarios"]) == 0
    names = [line.split("\t")[0] for line in capfd.readouterr().out.splitlines()]
    assert {"load", "capacity"} <= set(names)


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys\nfrom proofload.cli.app import invoke\ninvoke(['--help'])\n"
        "heavy = {'numpy', 'matplotlib', 'pandas', 'pyarrow', 'scipy', 'grpc', 'pydantic', 'locust', 'onnxruntime'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.real
def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*PROGRAM, "targets"], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.real
def test_the_program_and_the_module_end_with_the_right_code() -> None:
    done = subprocess.run([*PROGRAM, "run", "capcity"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "did you mean 'capacity'?" in done.stderr
    assert done.stdout == ""


@pytest.mark.real
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_request_to_end_are_both_130(number: signal.Signals, tmp_path: Path) -> None:
    builder = tmp_path / "fixtures" / "make_fixtures.py"
    builder.parent.mkdir()
    builder.write_text("print('begun', flush=True)\nimport time\ntime.sleep(60)\n", encoding="utf-8")
    environment = {**os.environ, "PROOFLOAD_FIXTURES": str(tmp_path / "built")}
    process = subprocess.Popen(
        [*PROGRAM, "fixtures"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    os.killpg(process.pid, number)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("interrupted")
    assert ("SIGTERM" in err) is (number == signal.SIGTERM)
    assert "Traceback" not in err


def test_ctrl_c_in_the_midst_of_a_class_that_is_being_made_is_130_too() -> None:
    code = (
        "import sys\nfrom proofload.cli import app\n"
        "app._dispatched = lambda words: exec('raise KeyboardInterrupt')\n"
        "sys.exit(app.invoke(['doctor']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
