"""Does judging a soak need more memory the longer it was? Run folders of an hour and of four at 1,000/s.

    python benchmarks/soak_memory.py [--hours 1 4]

The folders are written in virtual time, with eight probe series and the engine's words of each second. What is
measured is the peak of resident memory of `proofload report`, which judges and reports. What a run itself takes is
measured by `run_memory.py --scenario soak`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from proofload.procedures import soak
from proofload.testing.simulated_bench import queue, simulated_run
from tables import show

RATE_RPS = 1000.0
DAY_H = 24.0
ASKED_DAY_BYTES = 2e9
SERIES = {"uss_bytes": 9e7, "rss_bytes": 2e8, "fds": 21.0, "threads": 12.0, "sockets": 7.0, "births": 0.0,
          "fds_of_limit": 0.02, "cpu_share": 0.4}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """1 when a day would take more than is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, nargs=2, default=[1.0, 4.0])
    short_h, long_h = sorted(parser.parse_args(arguments).hours)
    peaks, rows = [], []
    for hours in (short_h, long_h):
        with tempfile.TemporaryDirectory(prefix="proofload-soak-") as place:
            folder = written(Path(place) / "run", hours)
            took_s, peak = reported(folder)
        peaks.append(peak)
        rows.append([f"{hours:g}", f"{RATE_RPS * hours * 3600:,.0f}", f"{took_s:.1f}", f"{peak / 1e6:,.0f}"])
    each_h = (peaks[1] - peaks[0]) / (long_h - short_h)
    day = peaks[1] + max(0.0, each_h) * (DAY_H - long_h)
    rows.append([f"{DAY_H:g} (extrapolated)", f"{RATE_RPS * DAY_H * 3600:,.0f}", "", f"{day / 1e6:,.0f}"])
    show(
        f"Judging and reporting a soak at {RATE_RPS:,.0f}/s",
        ["hours", "samples", "time s", "peak MB"],
        rows,
        [f"each further hour takes {each_h / 1e6:.1f} MB; asked: a day in at most {ASKED_DAY_BYTES / 1e6:,.0f} MB"],
    )
    return 0 if day <= ASKED_DAY_BYTES else 1


def written(folder: Path, hours: float) -> Path:
    settings = soak.Settings.model_validate(
        {"name": "soak", "procedure": "soak", "rate_rps": RATE_RPS, "duration_s": hours * 3600, "idle_s": 60,
         "another_s": 60, "timeout_s": 1.0, "slo": {"p95_ms": 500}}
    )  # fmt: skip
    with simulated_run(folder, settings, queue(0.0005)) as bench:
        soak.create().conduct(bench, settings)
        for name, level in SERIES.items():
            bench.probed("process", name, _constant(level))
    return folder


def _constant(level: float) -> Callable[[float], float]:
    return lambda _: level


def reported(folder: Path) -> tuple[float, float]:
    """Seconds and the peak in bytes."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "proofload", "report", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(
            f"proofload report ended with {process.returncode}: {process.stderr.read() if process.stderr else ''!r}"
        )
    return time.monotonic() - began, usage.ru_maxrss * 1024.0


if __name__ == "__main__":
    sys.exit(main())
