"""The lab's memory while a run goes on, however long it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from proofload.store.record import RunRecord

PROGRAM = Path(__file__).with_name("record_an_hour.py")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_recorder_does_not_grow_over_an_hour_of_samples(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path / "run")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    sizes = json.loads(done.stdout)
    running = sizes["running"]
    assert len(running) == 6
    assert max(running[2:]) - running[1] < 4e6, running  # a byte for each of the 2.4 million samples is less
    assert sizes["closed"][0] - running[1] < 60e6, sizes  # compaction holds one row group at a time
    outcomes = RunRecord(tmp_path / "run").samples().table
    assert len(outcomes) == 3_600_000
