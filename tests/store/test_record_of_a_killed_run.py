"""What a run folder says of phases that began, were cut, or whose lab did not live to see their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from proofload.errors import RunFolderError
from proofload.records import SAMPLE_DTYPE, Event
from proofload.store.folder import RunFolder
from proofload.store.record import RunRecord

S = 1_000_000_000
Note = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    made = RunFolder(tmp_path, {})
    yield made
    made.close()


def begun(folder: RunFolder, index: int, start_s: int, duration_s: float = 60.0) -> None:
    plan = {"name": f"phase {index}", "arrival": "constant", "rate_rps": 100.0, "duration_s": duration_s}
    detail = {"phase": index, "start_ns": start_s * S, "measured": True, **plan}
    folder.add_event(Event(start_s * S, "phase", detail))


def recorded(folder: RunFolder, index: int, start_s: int, seqs: range) -> None:
    made = np.zeros(len(seqs), dtype=SAMPLE_DTYPE)
    made["seq"] = seqs
    made["phase"] = index
    made["intended_ns"] = start_s * S + made["seq"] * (S // 100)
    folder.add_samples(made)


def test_a_phase_that_ended_is_as_planned(folder: RunFolder) -> None:
    begun(folder, 0, 10)
    recorded(folder, 0, 10, range(6000))
    folder.add_event(Event(70 * S, "phase-planned", {"phase": 0, "planned": 6000}))
    [phase] = RunRecord(folder.path).phases
    assert (phase.planned, phase.duration_s, phase.start_ns) == (6000, 60.0, 10 * S)


def test_a_phase_that_was_cut_lasted_until_then(folder: RunFolder) -> None:
    begun(folder, 0, 10)
    folder.add_event(Event(15 * S, "phase-cut", {"phase": 0, "ran_s": 5.0}))
    folder.add_event(Event(16 * S, "phase-planned", {"phase": 0, "planned": 500}))
    [phase] = RunRecord(folder.path).phases
    assert (phase.planned, phase.duration_s) == (500, 5.0)


def test_a_phase_whose_lab_was_killed_lasted_until_its_last_sample(folder: RunFolder) -> None:
    begun(folder, 0, 10)
    recorded(folder, 0, 10, range(1, 801, 2))  # of two engine processes, one was drained
    recorded(folder, 0, 10, range(0, 401, 2))
    [phase] = RunRecord(folder.path).phases
    assert phase.planned == 800
    assert phase.duration_s == pytest.approx(7.99)


def test_a_phase_that_a_kill_left_without_samples_never_was(folder: RunFolder) -> None:
    begun(folder, 0, 10)
    [phase] = RunRecord(folder.path).phases
    assert (phase.planned, phase.duration_s) == (0, 0.0)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b'"text"', b"null"])
def test_a_run_json_that_is_none_is_refused_with_its_path(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(RunFolderError) as caught:
        RunRecord(tmp_path)
    assert "run.json" in str(caught.value)


def test_a_result_that_cannot_be_read_says_how_to_make_it_again(folder: RunFolder) -> None:
    (folder.path / "result.json").write_text('{"schema": "proofload.result/1"', encoding="utf-8")
    with pytest.raises(RunFolderError) as caught:
        _ = RunRecord(folder.path).result
    assert caught.value.remedy == f"proofload report {folder.path}"
