"""`proofload run`: what it checks before, what it hands to the lab, what it leaves behind."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from proofload.cli.app import invoke
from proofload.cli.beforehand import new_folder
from proofload.errors import TargetError
from proofload.records import Result, Status

TARGET = 'name = "mine"\ntransport = "http"\nurl = "http://127.0.0.1:9/p"\npayloads = "p.jsonl"\n'


def result(target: str = "mine", status: Status = Status.PASS) -> Result:
    return Result(
        scenario="load",
        procedure="load",
        target={"name": target, "transport": "http"},
        status=status,
        validity=(),
        checks=(),
        phases=(),
        client=None,
        cost=None,
        environment={},
        command="",
        started_at="2026-01-01T00:00:00Z",
        duration_s=1.0,
    )


def proofload(words: str) -> int:
    return invoke(words.split())


class FakeLab(ModuleType):
    """Stands for proofload.lab: remembers what it was asked, and ends as it is told."""

    def __init__(self) -> None:
        super().__init__("proofload.lab")
        self.asked: dict[str, Any] = {}
        self.states: Sequence[Status] = (Status.PASS,)
        self.raises: BaseException | None = None
        self.leaves: Sequence[str] = ()
        """Made in the run folder before anything is raised; a name with a dot is a file."""

    def run_scenario(self, scenario: Any, targets: Sequence[Any], **others: Any) -> list[Result]:
        self.asked = {"scenario": scenario, "targets": targets, **others}
        others["progress"].message("at work")
        for name in self.leaves:
            path = others["out"] / name
            (path.parent if path.suffix else path).mkdir(parents=True, exist_ok=True)
            if path.suffix:
                path.touch()
        if self.raises is not None:
            raise self.raises
        (others["out"] / "run.json").write_text("{}", encoding="utf-8")
        names = [target.name for target in targets]
        return [result(name, state) for name, state in zip(names, self.states, strict=False)]


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> FakeLab:
    fake = FakeLab()
    monkeypatch.setitem(sys.modules, "proofload.lab", fake)
    return fake


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.target.toml").write_text(TARGET, encoding="utf-8")
    Path("other.target.toml").write_text(TARGET.replace("mine", "other"), encoding="utf-8")
    Path("p.jsonl").write_text('{"body": 1}\n', encoding="utf-8")


def test_everything_on_the_command_line_reaches_the_lab(lab: FakeLab) -> None:
    words = "run load --target mine --set rate_rps=5 --set target.response.rtol=0.1 --quick --device cuda --out o"
    assert proofload(words) == 0
    asked = lab.asked
    assert (asked["scenario"].rate_rps, asked["scenario"].is_quick) == (5, True)
    assert [target.name for target in asked["targets"]] == ["mine"]
    assert asked["targets"][0].response.rtol == 0.1
    assert (asked["device"], asked["runtime"], asked["out"]) == ("cuda", "auto", Path("o"))
    assert asked["command"] == f"proofload {words}"


def test_payloads_of_the_command_line_come_before_those_of_the_scenario_and_the_target(lab: FakeLab) -> None:
    for name in ("cli.jsonl", "scenario.jsonl"):
        Path(name).write_text('{"body": 1}\n', encoding="utf-8")
    assert proofload("run load --target mine --set payloads=scenario.jsonl --payloads cli.jsonl") == 0
    assert lab.asked["targets"][0].payloads_path == Path("cli.jsonl").absolute()
    assert proofload("run load --target mine --set payloads=scenario.jsonl") == 0
    assert lab.asked["targets"][0].payloads_path == Path("scenario.jsonl").absolute()
    assert proofload("run load --target mine") == 0
    assert lab.asked["targets"][0].payloads_path == Path("p.jsonl").absolute()


def test_a_bare_url_needs_no_file(lab: FakeLab) -> None:
    words = "run load --target http://127.0.0.1:9000/predict --payloads p.jsonl --set slo.p99_ms=50"
    assert proofload(words) == 0
    target = lab.asked["targets"][0]
    assert (target.transport, target.url) == ("http", "http://127.0.0.1:9000/predict")
    assert lab.asked["scenario"].slo.p99_ms == 50


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([Status.PASS], 0),
        ([Status.FAIL], 1),
        ([Status.INCONCLUSIVE], 3),
        ([Status.INVALID], 3),
        ([Status.PASS, Status.PASS], 0),
        ([Status.PASS, Status.INVALID], 3),
        ([Status.INVALID, Status.FAIL], 1),
        ([], 3),
    ],
)
def test_only_a_pass_of_all_is_a_zero(lab: FakeLab, states: Sequence[Status], code: int) -> None:
    lab.states = states
    assert proofload("run load --target mine --target other") == code


def test_json_on_standard_output_stands_there_alone(lab: FakeLab, capfd: pytest.CaptureFixture[str]) -> None:
    assert proofload("run load --target mine --json -") == 0
    seen = capfd.readouterr()
    assert json.loads(seen.out)["schema"] == "proofload.result/1"
    assert "at work" in seen.err
    assert "report:" in seen.err


def test_json_of_several_targets_is_one_document(lab: FakeLab, tmp_path: Path) -> None:
    lab.states = (Status.PASS, Status.PASS)
    assert proofload("run load --target mine --target other --json r.json") == 0
    document = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert document["schema"] == "proofload.results/1"
    assert [one["target"]["name"] for one in document["results"]] == ["mine", "other"]


def test_without_json_the_result_is_on_standard_output_and_progress_is_not(
    lab: FakeLab, capfd: pytest.CaptureFixture[str]
) -> None:
    assert proofload("run load --target mine") == 0
    seen = capfd.readouterr()
    assert "report:" in seen.out
    assert "at work" not in seen.out
    assert "at work" in seen.err


def test_the_default_folder_names_time_scenario_and_target_and_never_collides(lab: FakeLab) -> None:
    for _ in range(3):
        assert proofload("run load --target mine") == 0
    folders = [path.name for path in Path("out").iterdir()]
    assert len(folders) == 3
    assert all("-load-mine" in name for name in folders)


def test_a_new_folder_is_new_where_it_is_made_and_its_name_can_be_typed(tmp_path: Path) -> None:
    for _ in range(3):
        new_folder("load", "a/b c", "..", within=tmp_path / "mine").mkdir(parents=True)
    names = [path.name for path in (tmp_path / "mine").iterdir()]
    assert len(names) == 3
    assert all("-load-a-b-c-x" in name for name in names)


def test_a_folder_that_holds_anything_is_refused(lab: FakeLab, capfd: pytest.CaptureFixture[str]) -> None:
    Path("full").mkdir()
    Path("full/.hidden").touch()
    Path("file").touch()
    Path("empty").mkdir()
    assert proofload("run load --target mine --out full") == 2
    assert "already holds something" in capfd.readouterr().err
    assert proofload("run load --target mine --out file") == 2
    assert not lab.asked
    assert proofload("run load --target mine --out empty") == 0
    assert proofload("run load --target mine --out new/deep") == 0


def test_a_run_that_never_began_leaves_no_folder(lab: FakeLab) -> None:
    lab.raises = TargetError("it cannot be reached")
    assert proofload("run load --target mine --out o") == 2
    assert not Path("o").exists()


def test_a_failed_start_that_left_only_empty_folders_can_be_tried_again(lab: FakeLab) -> None:
    lab.raises, lab.leaves = TargetError("it cannot be reached"), ["logs", "mine/logs/deep"]
    for _ in range(2):
        assert proofload("run load --target mine --out o") == 2
        assert not Path("o").exists()


def test_a_failed_start_that_left_a_log_keeps_it(lab: FakeLab) -> None:
    lab.raises, lab.leaves = TargetError("it died"), ["samples", "logs/mine.log"]
    assert proofload("run load --target mine --out o") == 2
    assert Path("o/logs/mine.log").is_file()


def test_ctrl_c_is_130_and_keeps_what_was_recorded(lab: FakeLab, capfd: pytest.CaptureFixture[str]) -> None:
    lab.raises = KeyboardInterrupt()
    assert proofload("run load --target mine --out o") == 130
    assert capfd.readouterr().err.strip().endswith("interrupted")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("run lod --target mine", "there is no scenario named 'lod'"),
        ("run load --target mien", "there is no target named 'mien'"),
        ("run load --target mine --target mine", "two targets are called mine"),
        ("run load --target mine --payloads none.jsonl", "cannot read the payload file"),
        ("run load --target mine --payloads mine.target.toml", "mine.target.toml, line 1: not JSON"),
        ("run load --target mine --set target.response.prediction=$[", "response.prediction: '$[' is not a JSONPath"),
        ("run load --target http://h/p", "target h has no payloads"),
        ("run load --target mine --runtime procss", "did you mean 'process'?"),
        ("run load --target mine --json nowhere/r.json", "--json nowhere/r.json cannot be written"),
        ("run load --target mine --json .", "it is a folder"),
        ("run load --target mine --set rate_rps", "is not KEY=VALUE"),
        (
            "run load --target mine --set target.urll=3",
            "--set: unknown key `target.urll` (nearest known one: `target.url`)",
        ),
        ("run load --target mine --set target.respons.x=1", "`target.respons` (nearest known one: `target.response`)"),
        ("run load --target mine --set target.limits.cpu=1", "did you mean `target.limits.cpus`?"),
        ("run load --target mine --set target.limits.cpus=x", "--set: `target.limits.cpus`: seen 'x' (text)"),
        ("run load --target mine --set slo.deadline_ms=9999999", "error: --set: expected slo.deadline_ms ("),
        ("run load --target http:/127.0.0.1:1/x", "a URL needs a scheme and two slashes: http://127.0.0.1:1/x"),
        ("run load --target http:127.0.0.1:1/x", "a URL needs a scheme and two slashes: http://127.0.0.1:1/x"),
        ("run load --target 127.0.0.1:1/x", "a URL needs a scheme and two slashes: http://127.0.0.1:1/x"),
        ("run ./none.scenario.toml", "there is no file"),
    ],
)
def test_what_cannot_be_is_told_before_anything_starts(
    lab: FakeLab, capfd: pytest.CaptureFixture[str], words: str, says: str
) -> None:
    assert proofload(words) == 2
    seen = capfd.readouterr()
    assert says in seen.err
    assert seen.out == ""
    assert "Traceback" not in seen.err
    assert not lab.asked
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["--target", "http://me:pw@127.0.0.1:9/p?token=pw", "--payloads", "p.jsonl"], "127.0.0.1:9/p?token="),
        (["--set", "target.request.headers.Authorization=Bearer pw"], "target.request.headers.Authorization="),
        (["--set=target.request.headers.Cookie=pw"], "--set=target.request.headers.Cookie="),
        (["--set", 'target.request.headers={X-Key = "pw"}'], "target.request.headers="),
        (["--set", "target.start.env.DB_PASSWORD=pw", "--set", "target.start.command=['x']"], "DB_PASSWORD="),
        (["--set", "target.url=http://me:pw@h/p"], "target.url=http://me:"),
        (["--set", "target.request.headers.X-Api-Key=env:SCORER_KEY"], "X-Api-Key=env:SCORER_KEY"),
    ],
)
def test_the_recorded_command_holds_no_secret(lab: FakeLab, words: Sequence[str], kept: str) -> None:
    target = [] if "--target" in words else ["--target", "mine"]
    assert invoke(["run", "load", *target, *words]) == 0
    assert "pw" not in lab.asked["command"]
    assert kept in lab.asked["command"]
