"""The run folder as it is written: claimed, appended to from several threads, readable at any instant."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from proofload.errors import RunFolderError
from proofload.records import SAMPLE_DTYPE, Event, Reading
from proofload.store.folder import RunFolder, claim, write_json
from proofload.store.record import RunRecord


def test_a_folder_is_made_or_taken_when_empty_and_refused_when_it_holds_anything(tmp_path: Path) -> None:
    assert claim(tmp_path / "a" / "b").is_dir()
    assert claim(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    (tmp_path / "a" / "b" / ".hidden").touch()
    with pytest.raises(RunFolderError, match="already holds something") as caught:
        claim(tmp_path / "a" / "b")
    assert ".hidden" in caught.value.evidence
    (tmp_path / "file").touch()
    for impossible in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunFolderError, match="cannot make"):
            claim(impossible)


def test_events_of_several_threads_stay_whole_lines(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, {})
    with ThreadPoolExecutor(4) as pool:
        for number in range(400):
            pool.submit(folder.add_event, Event(number, "tick", {"text": "x" * (number % 97), "number": number}))
    folder.close()
    events = RunRecord(tmp_path).events
    assert sorted(event.t_ns for event in events) == list(range(400))
    assert all(event.detail["number"] == event.t_ns for event in events)


def test_a_detail_may_be_called_as_an_event_is(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, {})
    folder.add_event(Event(1, "example", {"kind": "wrong-answer", "t_ns": 7}))
    folder.close()
    [event] = RunRecord(tmp_path).events
    assert event == Event(1, "example", {"kind": "wrong-answer", "t_ns": 7})


@pytest.mark.parametrize("keep", [0, 1, 7, 40])
def test_an_event_cut_off_by_a_kill_is_left_out(tmp_path: Path, keep: int) -> None:
    folder = RunFolder(tmp_path, {})
    folder.add_event(Event(1, "phase", {"text": "a whole line"}))
    folder.add_event(Event(2, "phase", {"text": "a line that is cut"}))
    folder.close()
    path = tmp_path / "events.jsonl"
    first, second, _ = path.read_bytes().split(b"\n")
    path.write_bytes(first + b"\n" + second[:keep])
    assert [event.t_ns for event in RunRecord(tmp_path).events] == [1]


def test_readings_come_back_by_source_in_order_of_time(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, {})
    for t_ns in (3, 1, 2):
        folder.add_readings([Reading(t_ns, "process", "uss_bytes", 10.0 * t_ns), Reading(t_ns, "p", "v", 1.0, arm=1)])
        folder.flush_readings()
    folder.close()
    found = RunRecord(tmp_path).readings()
    assert set(found) == {(0, "process", "uss_bytes"), (1, "p", "v")}
    series = found[0, "process", "uss_bytes"]
    assert series.t_ns.tolist() == [1, 2, 3]
    assert series.values.tolist() == [10.0, 20.0, 30.0]


def test_a_folder_without_samples_or_readings_is_a_folder_all_the_same(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, {"a": 1})
    folder.add_samples(np.zeros(0, dtype=SAMPLE_DTYPE))
    folder.close()
    record = RunRecord(tmp_path)
    assert record.run == {"a": 1}
    assert len(record.samples()) == 0
    assert record.readings() == {}
    assert record.phases == ()
    assert not record.complete


def test_a_json_file_is_never_seen_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"old": True})

    def half(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(RunFolderError, match="cannot write") as caught:
        write_json(path, {"new": list(range(100))})
    assert caught.value.cause == "the disk is full"
    assert [one.name for one in tmp_path.iterdir()] == ["result.json"]
    assert json.loads(path.read_text(encoding="utf-8")) == {"old": True}
