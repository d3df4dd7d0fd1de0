"""canary-rollback on two real servers, one of them defective."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from proofload.judging import judge
from proofload.progress import PlainProgress
from proofload.records import Status
from proofload.selftest import Case
from proofload.selftest.real import folder_of, record
from proofload.store.record import RunRecord

SHORT = {
    "stages": [0.5],
    "stage_s": 15.0,
    "baseline_s": 2.0,
    "warmup_s": 1.0,
    "block_s": 0.5,
    "alpha_fail": 0.05,
    "after_s": 1.0,
    "rate_rps": 100.0,
}
ERRORS = Case("canary-rollback", "fastapi", "errors:share=0.5", ("canary-errors",), settings=SHORT)


@pytest.mark.real
@pytest.mark.quiet
def test_a_defective_canary_is_rolled_back_by_itself_and_ended(tmp_path: Path) -> None:
    record(tmp_path, ERRORS, 0, progress=PlainProgress(io.StringIO()), version="test")
    run = RunRecord(folder_of(tmp_path, ERRORS, 0))
    result = judge(run)
    assert result.status in {Status.FAIL, Status.INVALID}  # invalid where the machine is crowded
    assert "canary-errors" in {check.cause for check in result.checks}
    rolled = next(event for event in run.events if event.kind == "rollback")
    shares = [event.detail["canary_share"] for event in run.events if event.kind == "share"]
    assert shares[-1] == 0.0
    after = run.samples().table
    after = after[(after["sent_ns"] > rolled.t_ns + 5e8) & (after["mirror"] == 0)]
    assert len(after)
    assert not after["arm"].any()  # everything is on the baseline again
    stopped = [
        event.detail["arm"] for event in run.events if event.kind == "server" and event.detail["what"] == "stopped"
    ]
    assert stopped == [1, 0]
