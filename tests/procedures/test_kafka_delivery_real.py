"""kafka-delivery on real workers and a real, embedded, broker."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from proofload.progress import PlainProgress
from proofload.records import Status
from proofload.selftest import Case
from proofload.selftest.real import folder_of, record, seen
from proofload.store.record import RunRecord

SHORT = {
    "duration_s": 1.5,
    "disturbances": ["restart"],
    "after_s": 0.3,
    "drain_s": 0.5,
    "lost_share": 0.01,
}
REDELIVERY = Case("kafka-delivery", "kafka", "redelivery-on-rebalance", ("duplicated-messages",), settings=SHORT)


@pytest.mark.real
@pytest.mark.quiet
@pytest.mark.kafka
def test_a_worker_that_answers_again_after_a_restart_is_found_and_named(tmp_path: Path) -> None:
    record(tmp_path, REDELIVERY, 0, progress=PlainProgress(io.StringIO()), version="test")
    run = seen(tmp_path, REDELIVERY, 0)
    assert (run.status, run.causes) == (Status.FAIL, ("duplicated-messages",)), run.why
    events = RunRecord(folder_of(tmp_path, REDELIVERY, 0)).events
    assert [event.detail["what"] for event in events if event.kind == "disturbance"] == ["stop", "started"]
    assert any(event.kind == "delivery" for event in events)
