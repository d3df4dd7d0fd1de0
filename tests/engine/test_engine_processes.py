"""Engine processes for real: several of them, their samples, their end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from proofload.engine.client import Engine, EngineSpec, Stretch, started
from proofload.engine.recorder import Recorder
from proofload.engine.worker import ArmSpec
from proofload.errors import InputError, MeasurementError
from proofload.records import Outcome
from proofload.store.folder import RunFolder, claim
from proofload.store.record import RunRecord
from proofload.testing.answering import Doubling, answering

pytestmark = pytest.mark.real
SOME = 20


@pytest.fixture
def url() -> Iterator[str]:
    with answering(Doubling) as address:
        yield address


@pytest.fixture
def payloads(tmp_path: Path) -> str:
    path = tmp_path / "payloads.jsonl"
    lines = [json.dumps({"body": {"n": n}, "expect": 2 * n if n else 1}) for n in range(SOME)]
    path.write_text("\n".join(lines))
    return str(path)


@contextmanager
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    made = RunFolder(claim(tmp_path / "run"), {})
    yield made
    made.close()


def nothing(recorder: Recorder, left_s: float) -> None: ...


@contextmanager
def engine_for(run: RunFolder, url: str, payloads: str, workers: int = 1, transport: str = "http") -> Iterator[Engine]:
    with started(EngineSpec(payloads, [None] * workers, peak_rps=500), run, os.environ) as engine:
        engine.open(0, ArmSpec(transport, url, response={"version": "$.version"}, connections=32))
        yield engine


def test_the_samples_of_several_processes_are_one_run(tmp_path: Path, url: str, payloads: str) -> None:
    with folder(tmp_path) as run, engine_for(run, url, payloads, workers=3) as engine:
        indices = engine.run([Stretch("a", 300, 1.0), Stretch("b", 300, 0.5, arrival="poisson", seed=5)], nothing)
    record = RunRecord(tmp_path / "run")
    assert indices == [0, 1]
    first = record.samples(0)
    assert np.array_equal(np.sort(first.table["seq"]), np.arange(300))
    due_ns = np.rint(first.table["seq"] / 300 * 1e9).astype(np.int64)
    assert np.array_equal(first.table["intended_ns"], record.phases[0].start_ns + due_ns)
    assert set(first.table["worker"]) == {0, 1, 2}
    assert [phase.planned for phase in record.phases] == [300, len(record.samples(1))]
    assert record.phases[1].start_ns == record.phases[0].start_ns + 10**9

    everything = record.samples()
    wrong = everything.outcome == Outcome.WRONG
    assert np.array_equal(wrong, everything.table["payload"] == 0), "only payload 0 expects the wrong answer"
    assert set(everything.outcome) == {Outcome.OK, Outcome.WRONG}
    stamps = [record.names["version", int(number)] for number in everything.table["version"]]
    assert stamps == [f"v{payload % 2 + 1}" for payload in everything.table["payload"]]
    assert {record.names["error", int(number)] for number in everything.table["error"][wrong]} == {"wrong-answer"}
    assert [event for event in record.events if event.kind == "example"]


def test_a_tick_that_raises_cuts_the_phase_and_keeps_what_was_recorded(tmp_path: Path, url: str, payloads: str) -> None:
    def stop(recorder: Recorder, left_s: float) -> None:
        if recorder.outcomes[Outcome.OK] > 30:
            raise KeyboardInterrupt

    with folder(tmp_path) as run, engine_for(run, url, payloads) as engine:
        with pytest.raises(KeyboardInterrupt):
            engine.run([Stretch("a", 100, 60.0)], stop)
    record = RunRecord(tmp_path / "run")
    [phase] = record.phases
    assert 30 < phase.planned == len(record.samples()) < 6000
    assert phase.duration_s < 60
    assert Outcome.UNSENT not in set(record.samples().outcome)


def test_an_engine_process_that_is_killed_is_a_measurement_error_with_the_rest_kept(
    tmp_path: Path, url: str, payloads: str
) -> None:
    def kill(recorder: Recorder, left_s: float) -> None:
        if recorder.outcomes[Outcome.OK] > 30:
            for child in psutil.Process().children():
                if "proofload.engine" in child.cmdline():
                    child.kill()

    with folder(tmp_path) as run, engine_for(run, url, payloads) as engine:
        with pytest.raises(MeasurementError, match="engine process 0 ended"):
            engine.run([Stretch("a", 100, 60.0)], kill)
    assert len(RunRecord(tmp_path / "run").samples()) > 30


@pytest.mark.parametrize(
    ("transport", "file", "kind"),
    [("carrier-pigeon", None, InputError), ("http", "/nowhere/payloads.jsonl", InputError)],
)
def test_what_an_engine_process_cannot_open_is_raised_here_as_its_own_error(
    tmp_path: Path, url: str, payloads: str, transport: str, file: str | None, kind: type[Exception]
) -> None:
    with folder(tmp_path) as run, pytest.raises(kind):
        with engine_for(run, url, file or payloads, transport=transport):
            pytest.fail("it opened")
    assert not [child for child in psutil.Process().children() if "proofload.engine" in child.cmdline()]
