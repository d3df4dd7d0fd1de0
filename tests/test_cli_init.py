"""`proofload init`: what it writes can be used at once, and nothing is written over."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from proofload.cli.app import invoke
from proofload.cli.init import PLANNED
from proofload.errors import EXIT_BAD_INPUT
from proofload.nightly.plan import read_plan
from proofload.scenarios import load_scenario
from proofload.targets import load_target
from proofload.testing.runtime_kit import running_stub

WRITTEN = {
    ".github/workflows/proofload.yml",
    "scenarios/steady.scenario.toml",
    "targets/mine.target.toml",
    "targets/payloads.jsonl",
    "targets/stand_in_server.py",
    "tests/test_proofload.py",
}

NIGHTLY = {
    ".github/workflows/proofload-nightly.yml",
    ".github/workflows/proofload-pairs.yml",
    "nightly.toml",
    "proofload.gitlab-ci.yml",
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def files() -> set[str]:
    return {str(path) for path in Path().rglob("*") if path.is_file()}


def test_what_it_writes_is_listed_and_names_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["init"]) == 0
    assert files() == WRITTEN
    said = capsys.readouterr().out
    assert {line.removeprefix("wrote ") for line in said.splitlines() if line.startswith("wrote ")} == WRITTEN
    assert "next: pytest scenarios/" in said


def test_scenario_and_target_load_and_belong_together() -> None:
    assert invoke(["init"]) == 0
    for quick in (False, True):
        assert load_scenario("steady", quick=quick).target_names() == ["mine"]
    target = load_target("mine")
    assert target.start is not None
    assert target.payloads_path == Path("targets/payloads.jsonl").absolute()


def test_the_workflow_runs_what_it_says() -> None:
    """Without a YAML reader: no tabs, the scenarios named, the file that is kept is the one that is written."""
    assert invoke(["init"]) == 0
    text = Path(".github/workflows/proofload.yml").read_text(encoding="utf-8")
    assert "\t" not in text
    assert "pytest scenarios/ --junitxml=proofload.xml --proofload-out=out/runs" in text
    assert "            proofload.xml\n            out/runs\n" in text
    assert "github.event_name == 'schedule' && '--proofload-full'" in text


@pytest.mark.real
def test_every_expected_answer_is_the_stand_ins(tmp_path: Path) -> None:
    assert invoke(["init"]) == 0
    words = "run steady --quick --set duration_s=1 --set warmup_s=0 --set rate_rps=30 --out run --json r.json"
    invoke(words.split())
    outcomes = json.loads(Path("r.json").read_text(encoding="utf-8"))["phases"][-1]["outcomes"]
    assert outcomes["ok"] > 0
    assert outcomes["wrong"] == outcomes["error"] == 0


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_nothing_is_written_over(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("mine", encoding="utf-8")
    assert invoke(["init"]) == EXIT_BAD_INPUT
    assert files() == {name}
    assert Path(name).read_text(encoding="utf-8") == "mine"
    assert name in capsys.readouterr().err


def test_another_folder_is_made_and_the_way_there_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["init", "new/place"]) == 0
    assert files() == {f"new/place/{name}" for name in WRITTEN}
    assert "next: cd new/place && pytest" in capsys.readouterr().out


def test_a_server_that_runs_already_needs_no_stand_in() -> None:
    with running_stub() as (port, _):
        url = f"http://127.0.0.1:{port}/predict"
        assert invoke(["init", "--url", url]) == 0
        assert files() == WRITTEN - {"targets/stand_in_server.py"}
        target = load_target("mine")
        assert (target.url, target.start) == (url, None)


@pytest.mark.parametrize("url", ["127.0.0.1:9000", "ftp://host/x", "grpc://host:1"])
def test_an_url_of_another_kind_is_refused_before_anything_is_written(url: str) -> None:
    assert invoke(["init", "--url", url]) == EXIT_BAD_INPUT
    assert files() == set()


def test_a_folder_that_cannot_be_made_is_told_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("", encoding="utf-8")
    assert invoke(["init", "file/inside"]) == EXIT_BAD_INPUT
    assert "cannot write" in capsys.readouterr().err


def test_its_programs_compile_without_a_warning() -> None:
    assert invoke(["init"]) == 0
    for name in ("targets/stand_in_server.py", "tests/test_proofload.py"):
        subprocess.run([sys.executable, "-W", "error", "-m", "py_compile", name], check=True)


def test_nights_come_with_the_starter_or_beside_one_that_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["init", "--nightly", "new"]) == 0
    assert files() == {f"new/{name}" for name in WRITTEN | NIGHTLY}
    assert invoke(["init", "old"]) == 0
    Path("old/scenarios/steady.scenario.toml").write_text("mine", encoding="utf-8")
    assert invoke(["init", "old", "--nightly"]) == 0
    assert Path("old/scenarios/steady.scenario.toml").read_text(encoding="utf-8") == "mine"
    assert {
        path.relative_to("old").as_posix() for path in Path("old").rglob("*") if path.is_file()
    } == WRITTEN | NIGHTLY
    assert invoke(["init", "old", "--nightly"]) == EXIT_BAD_INPUT
    assert "nightly.toml" in capsys.readouterr().err


def test_nights_are_planned_for_what_is_there() -> None:
    """A repository with tests of its own has not begun: what the plan names is written, too."""
    Path("tests").mkdir()
    Path("tests/test_serving.py").write_text("mine", encoding="utf-8")
    assert invoke(["init", "--nightly"]) == 0
    assert files() == WRITTEN | NIGHTLY | {"tests/test_serving.py"}
    assert invoke(["nightly", "--dry-run"]) == 0
    plan = read_plan(None).plan
    assert (*plan.scenarios, *plan.targets) == PLANNED


@pytest.mark.parametrize("name", PLANNED)
def test_half_a_starter_is_no_starter(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(name).parent.mkdir()
    Path(name).write_text("mine", encoding="utf-8")
    assert invoke(["init", "--nightly"]) == EXIT_BAD_INPUT
    assert files() == {name}
    assert name in capsys.readouterr().err
