"""`proofload report` on run folders that something happened to: a report of what is left, or a message."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from proofload.cli.app import invoke
from proofload.procedures import load
from proofload.store.record import RunRecord
from proofload.testing.simulated_bench import queue, simulated_run

Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "run"
    scenario = load.Settings.model_validate({"name": "load", "procedure": "load", "rate_rps": 200, "duration_s": 10})
    with simulated_run(folder, scenario, queue(0.001)) as bench:
        load.create().conduct(bench, scenario)
    assert invoke(["report", str(folder)]) == 0
    return folder


def cut(name: str, share: float) -> Damage:
    def act(folder: Path) -> None:
        path = folder / name
        whole = path.read_bytes()
        path.write_bytes(whole[: round(len(whole) * share)])

    return act


def replaced(name: str, content: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(content)


SAMPLES = "samples/compact.parquet"
REPORTED: Mapping[str, Damage] = {
    "no result": lambda folder: (folder / "result.json").unlink(),
    "half a result": cut("result.json", 0.5),
    "a result of garbage": replaced("result.json", b"\x00\xff"),
    "no report": lambda folder: (folder / "report.html").unlink(),
    "no events": lambda folder: (folder / "events.jsonl").unlink(),
    "empty events": replaced("events.jsonl", b""),
    "half of the events": cut("events.jsonl", 0.5),
    "events of garbage": replaced("events.jsonl", b"\xff\x00{]\n" * 1000),
    "no samples": lambda folder: shutil.rmtree(folder / "samples"),
    "an empty folder of samples": lambda folder: (folder / SAMPLES).unlink(),
    "a half-written segment besides": lambda folder: (folder / "samples/segment-000009.partial").write_bytes(b"PAR1"),
    "no probes": lambda folder: shutil.rmtree(folder / "probes"),
    "no logs": lambda folder: shutil.rmtree(folder / "logs"),
}
REFUSED: Mapping[str, tuple[Damage, str]] = {
    "no run.json": (lambda folder: (folder / "run.json").unlink(), "run.json"),
    "half a run.json": (cut("run.json", 0.5), "run.json"),
    "a run.json that is a list": (replaced("run.json", b"[]"), "run.json"),
    "an empty run.json": (replaced("run.json", b""), "run.json"),
    "a run.json without anything": (replaced("run.json", b"{}"), "cannot be judged"),
    "a run.json of a strange procedure": (replaced("run.json", b'{"scenario": {"procedure": "prayer"}}'), "prayer"),
    "half of the samples": (cut(SAMPLES, 0.5), SAMPLES),
    "empty samples": (replaced(SAMPLES, b""), SAMPLES),
    "samples of garbage": (replaced(SAMPLES, b"PAR1 what is this PAR1"), SAMPLES),
}


@pytest.fixture
def folder(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Path(shutil.copytree(sound, tmp_path / "run"))


def report(folder: Path, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = invoke(["report", str(folder), "--format", "html", "--format", "md", "--format", "json"])
    told = capfd.readouterr().err
    assert "Traceback" not in told
    assert "bug in proofload" not in told
    return code, told


@pytest.mark.parametrize("name", REPORTED)
def test_what_is_left_is_reported(folder: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    REPORTED[name](folder)
    code, told = report(folder, capfd)
    assert code == 0, told
    result = RunRecord(folder).result
    lacks = {"no events", "empty events", "half of the events", "events of garbage", "no samples"}
    if name in lacks | {"an empty folder of samples"}:
        assert result.status == "invalid"
    else:
        assert not [item for item in result.validity if not item.ok]


@pytest.mark.parametrize("name", REFUSED)
def test_what_tells_nothing_is_refused_with_its_name(
    folder: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    damage, says = REFUSED[name]
    damage(folder)
    code, told = report(folder, capfd)
    assert code == 2
    assert says in told
    assert "next: " in told


@pytest.mark.parametrize("place", ["nowhere", "a file", "an empty folder"])
def test_a_place_that_is_no_run_folder_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], place: str
) -> None:
    path = tmp_path / place
    if place == "a file":
        path.touch()
    elif place == "an empty folder":
        path.mkdir()
    code, told = report(path, capfd)
    assert code == 2
    assert "is not a run folder" in told


def test_a_folder_that_may_not_be_written_to_is_told(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "report.html").unlink()
    (folder / "report.html").mkdir()
    code, told = report(folder, capfd)
    assert code in {2, 3}
    assert "report.html" in told
