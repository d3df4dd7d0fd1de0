"""What a report of a large run folder costs in memory, seen from outside: the peak of a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proofload.testing.synthetic_run import write_run

GB = 10**9
SMALL, LARGE = 500_000, 1_500_000


MEASURE = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=sys.stderr)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""


ONE_POOL = {"MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
"""Of memory that is free an allocator keeps some for each thread, the more the busier the machine is: 30 MB were seen
to come and go by that."""


def peak_bytes(*command: str) -> int:
    """Largest resident size of the command, which must end well.

    Asked for by a small process between: a child's peak begins at the size of the process it was forked from, and
    this one may have grown large.
    """
    measuring, environment = [sys.executable, "-S", "-c", MEASURE, *command], {**os.environ, **ONE_POOL}
    done = subprocess.run(measuring, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read in Linux's unit")
def test_five_million_samples_become_a_report_in_less_than_a_gigabyte(tmp_path: Path) -> None:
    peaks = {}
    for samples in (SMALL, LARGE):
        folder = write_run(tmp_path / str(samples), samples, rate_rps=20_000)
        peaks[samples] = peak_bytes(sys.executable, "-m", "proofload", "report", str(folder))
        assert (folder / "report.html").stat().st_size > 10_000
    per_sample = (peaks[LARGE] - peaks[SMALL]) / (LARGE - SMALL)
    expected = peaks[LARGE] + per_sample * (5_000_000 - LARGE)
    assert expected < GB, f"{per_sample:.0f} bytes a sample from {peaks[SMALL] / 1e6:.0f} MB"


def test_a_run_folder_of_any_size_is_written_in_constant_memory(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from proofload.testing.synthetic_run import write_run;"
        "write_run(Path(sys.argv[1]), int(sys.argv[2]), rate_rps=100_000)"
    )
    peaks = [
        peak_bytes(sys.executable, "-c", program, str(tmp_path / str(samples)), str(samples))
        for samples in (2_400_000, 4_800_000)
    ]
    assert peaks[1] - peaks[0] < 15e6, peaks  # a sample takes some 60 bytes: all of them would be 140 MB
