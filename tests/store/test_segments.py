"""Segments and their compaction: nothing is lost or doubled, whatever ends the lab and when."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from proofload.errors import RunFolderError
from proofload.records import SAMPLE_DTYPE
from proofload.store import segments
from proofload.store.segments import SegmentWriter, read_samples, samples_table


def rows(count: int, *, first: int = 0, phase: int = 0, seed: int = 1) -> NDArray[np.void]:
    rng = np.random.default_rng([seed, first])
    made = np.zeros(count, dtype=SAMPLE_DTYPE)
    for name in SAMPLE_DTYPE.names or ():
        kind = SAMPLE_DTYPE[name]
        if kind.kind == "f":
            made[name] = rng.normal(size=count)  # no NaN: it equals nothing, itself included
            continue
        made[name] = rng.integers(np.iinfo(kind).min, np.iinfo(kind).max, count, dtype=kind, endpoint=True)
    made["seq"] = np.arange(first, first + count)
    made["intended_ns"] = made["seq"] * 1_000_000
    made["phase"] = phase
    return made


def written(folder: Path, parts: list[NDArray[np.void]]) -> SegmentWriter:
    writer = SegmentWriter(folder)
    for part in parts:
        writer.write(samples_table(part))
    return writer


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=6), compact=st.booleans())
def test_every_value_of_every_sample_comes_back(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], compact: bool
) -> None:
    folder = tmp_path_factory.mktemp("samples")
    starts = [0, *itertools.accumulate(sizes)]
    parts = [rows(size, first=start) for size, start in zip(sizes, starts[:-1], strict=True)]
    writer = written(folder, parts)
    if compact:
        writer.compact()
        assert [path.name for path in folder.iterdir()] == [segments.COMPACT]
    np.testing.assert_array_equal(read_samples(folder), np.concatenate(parts))


def test_samples_of_several_workers_come_back_in_due_order(tmp_path: Path) -> None:
    everything = rows(1000)
    written(tmp_path, [everything[1::2], everything[0::2]])
    np.testing.assert_array_equal(read_samples(tmp_path), everything)


def test_one_phase_is_read_without_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "_ROWS_PER_GROUP", 100)
    parts = [rows(100, first=100 * phase, phase=phase) for phase in range(5)]
    writer = written(tmp_path, parts)
    np.testing.assert_array_equal(read_samples(tmp_path, phase=3), parts[3])
    writer.compact()
    np.testing.assert_array_equal(read_samples(tmp_path, phase=3), parts[3])
    assert len(read_samples(tmp_path, phase=7)) == 0


def test_no_samples_are_an_empty_table(tmp_path: Path) -> None:
    assert len(read_samples(tmp_path / "nowhere")) == 0
    SegmentWriter(tmp_path).compact()
    assert len(read_samples(tmp_path)) == 0


class _KilledError(Exception):
    """Stands for SIGKILL: nothing after it happens."""


@pytest.mark.parametrize("step", range(8))
def test_a_kill_at_any_step_of_writing_and_compacting_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Steps are what changes the folder: a file written, renamed, removed."""
    parts = [rows(50, first=50 * number) for number in range(3)]
    left = itertools.count(step, -1)

    def deadly(original: Any) -> Any:
        def act(*words: Any, **options: Any) -> Any:
            if next(left) == 0:
                raise _KilledError
            return original(*words, **options)

        return act

    writer = written(tmp_path, parts[:2])
    monkeypatch.setattr(Path, "replace", deadly(Path.replace))
    monkeypatch.setattr(Path, "unlink", deadly(Path.unlink))
    monkeypatch.setattr(pq.ParquetWriter, "write_table", deadly(pq.ParquetWriter.write_table))
    try:
        writer.write(samples_table(parts[2]))
        writer.compact()
    except _KilledError:
        pass
    else:
        assert step > 6
    monkeypatch.undo()
    recorded = np.concatenate(parts[:2] if step < 2 else parts)
    np.testing.assert_array_equal(read_samples(tmp_path), recorded)


def test_a_half_written_segment_is_no_segment(tmp_path: Path) -> None:
    first = rows(50)
    written(tmp_path, [first])
    (tmp_path / "segment-000002.partial").write_bytes((tmp_path / "segment-000001.parquet").read_bytes()[:700])
    np.testing.assert_array_equal(read_samples(tmp_path), first)


@pytest.mark.parametrize("damage", ["cut", "emptied", "garbage", "another table", "flipped"])
def test_a_damaged_segment_is_named(tmp_path: Path, damage: str) -> None:
    written(tmp_path, [rows(50), rows(50, first=50)])
    victim = tmp_path / "segment-000002.parquet"
    whole = victim.read_bytes()
    match damage:
        case "another table":
            pq.write_table(samples_table(rows(5)).drop_columns(["seq"]), victim)
        case "flipped":
            victim.write_bytes(whole[:60] + bytes(byte ^ 0xFF for byte in whole[60:400]) + whole[400:])
        case _:
            victim.write_bytes({"cut": whole[: len(whole) // 2], "emptied": b"", "garbage": b"PAR1" * 100}[damage])
    with pytest.raises(RunFolderError) as caught:
        read_samples(tmp_path)
    assert str(victim) in caught.value.what
    assert caught.value.remedy


def test_reading_takes_little_more_memory_than_the_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What numpy holds; a row group of Arrow's comes on top, and its size is bounded."""
    monkeypatch.setattr(segments, "_ROWS_PER_GROUP", 20_000)
    parts = [rows(20_000, first=20_000 * number) for number in range(20)]
    written(tmp_path, parts).compact()
    tracemalloc.start()
    found = read_samples(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 400_000
    assert peak < 1.25 * found.nbytes
