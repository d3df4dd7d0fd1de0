"""Windows of a recording are judged as runs are."""

from __future__ import annotations

from pathlib import Path

from proofload.records import Status
from proofload.selftest import Case
from proofload.selftest.windows import STRIDE, Window, replay
from proofload.store.record import RunRecord
from proofload.testing.synthetic_run import write_run

CASE = Case("soak", "fastapi", windows_s=38.0)


def test_each_window_of_a_steady_recording_passes_and_none_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path, samples=30_000, rate_rps=200.0)
    seen = replay(tmp_path, CASE)
    assert sum(seen.counts.values()) == len(range(5, 150 - 38, 1)) // (STRIDE * 38) + 1
    assert seen.counts[Status.FAIL] == 0
    assert seen.side_by_side == 3


def test_a_window_holds_what_fell_into_it(tmp_path: Path) -> None:
    write_run(tmp_path, samples=6_000, rate_rps=200.0)
    record = RunRecord(tmp_path)
    [phase] = [one for one in record.phases if one.measured]
    begin = phase.start_ns + 10 * 10**9
    window = Window(record, record.samples(phase.index), phase, begin, 5.0)
    [cut] = window.phases
    table = window.samples(cut.index).table
    assert len(table) == cut.planned == len(set(table["seq"].tolist()))
    assert table["intended_ns"].min() >= begin
    assert table["intended_ns"].max() < begin + 5 * 10**9
    for key, series in window.readings().items():
        assert ((series.t_ns >= begin) & (series.t_ns < begin + 5 * 10**9)).all(), key
