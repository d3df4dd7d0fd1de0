"""What the report of a run folder of five million samples takes: time, and the peak of resident memory.

python benchmarks/report_scale.py [--samples 5000000]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from proofload.testing.synthetic_run import write_run
from tables import show

ASKED_S, ASKED_BYTES = 20.0, 1e9


def main(arguments: Sequence[str] | None = None) -> int:
    """1 when it takes longer or more than is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=5_000_000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="proofload-scale-") as place:
        began = time.monotonic()
        folder = write_run(Path(place) / "run", options.samples, rate_rps=5_000)
        written_s = time.monotonic() - began
        on_disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        began = time.monotonic()
        process = subprocess.Popen([sys.executable, "-m", "proofload", "report", str(folder)])
        _, status, usage = os.wait4(process.pid, 0)
        took_s = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"proofload report ended with {process.returncode}")
    peak = usage.ru_maxrss * 1024
    show(
        "Report of a large run folder",
        ["samples", "on disk MB", "time s", "peak MB", "(written in s)"],
        [[f"{options.samples:,}", f"{on_disk / 1e6:,.0f}", f"{took_s:.1f}", f"{peak / 1e6:,.0f}", f"{written_s:.0f}"]],
        [f"asked: at most {ASKED_S:.0f} s and {ASKED_BYTES / 1e6:,.0f} MB"],
    )
    return 0 if took_s <= ASKED_S and peak <= ASKED_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
