"""Does a run's memory grow with its length? Lab and engine during 3.6 million requests: an hour at 1,000/s.

    python benchmarks/run_memory.py [--rate 40000] [--samples 3600000] [--scenario soak]

The load goes to nginx on the highest core. Resident memory is read from outside, once a second. Shared memory
(the sample ring) is counted with both processes that map it. The end of the run is shown apart: there the lab
merges the samples into one file and judges all of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

import nginx_server
from our_engine import Held, command, read
from proofload.store.record import RunRecord
from tables import show

ASKED_GROWTH_BYTES = 16e6
"""From a third of the run to its end; per sample of the remaining 2.4 million that is 7 bytes."""


@dataclass(frozen=True, slots=True)
class Size:
    """Resident bytes of the lab and of its engine process at an instant (monotonic ns, as in the run folder)."""

    t_ns: int
    lab: int
    engine: int


def main(arguments: Sequence[str] | None = None) -> int:
    """1 when either grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=40_000.0)
    parser.add_argument("--samples", type=int, default=3_600_000)
    parser.add_argument("--scenario", choices=["load", "soak"], default="load", help="soak: judged window by window")
    options = parser.parse_args(arguments)
    if not nginx_server.available():
        print(f"\nA run's memory was not measured: {nginx_server.MISSING}")
        return 0
    seconds = options.samples / options.rate
    with nginx_server.serving() as url, tempfile.TemporaryDirectory(prefix="proofload-memory-") as place:
        sizes, result = run(_asked(options.scenario, command(url, options.rate, seconds, Path(place))))
        record = RunRecord(Path(place) / "run")
        begin_ns = record.phases[0].start_ns
        found = read(Path(place) / "run", result, options.rate)
    return tell(sizes, found, begin_ns, seconds)


def _asked(scenario: str, lab: list[str]) -> list[str]:
    if scenario == "load":
        return lab
    own = ["another_s=0", "idle_s=0", "slo.p95_ms=50"]
    return [scenario if part == "load" else part for part in lab] + [word for one in own for word in ("--set", one)]


def run(lab: list[str]) -> tuple[list[Size], dict[str, object]]:
    """The run, watched; its result."""
    sizes: list[Size] = []
    with subprocess.Popen(lab, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        watcher = threading.Thread(target=_watch, args=(process.pid, sizes), daemon=True)
        watcher.start()
        said, _ = process.communicate()
        watcher.join()
    if process.returncode not in (0, 1, 3):
        raise SystemExit(f"proofload run ended with {process.returncode}")
    return sizes, json.loads(said)


def _watch(pid: int, sizes: list[Size]) -> None:
    try:
        lab = psutil.Process(pid)
        engine: psutil.Process | None = None
        while lab.is_running() and lab.status() != psutil.STATUS_ZOMBIE:
            if engine is None or not engine.is_running():
                engine = next((one for one in lab.children() if "proofload.engine" in one.cmdline()), None)
            sizes.append(Size(time.monotonic_ns(), lab.memory_info().rss, engine.memory_info().rss if engine else 0))
            time.sleep(0.25)
    except psutil.NoSuchProcess:
        return


def tell(sizes: Sequence[Size], found: Held, begin_ns: int, seconds: float) -> int:
    during = [one for one in sizes if begin_ns <= one.t_ns <= begin_ns + seconds * 1e9 and one.engine]
    marks = {name: during[min(len(during) - 1, round(share * (len(during) - 1)))] for name, share in
             (("5 %", 0.05), ("a third", 1 / 3), ("two thirds", 2 / 3), ("end of load", 1.0))}  # fmt: skip
    later = [one for one in during if one.t_ns >= marks["a third"].t_ns]
    growth = {
        "lab": max(one.lab for one in later) - marks["a third"].lab,
        "engine": max(one.engine for one in later) - marks["a third"].engine,
    }
    rows = [[name, f"{one.lab / 1e6:,.1f}", f"{one.engine / 1e6:,.1f}"] for name, one in marks.items()]
    rows.append(["most, merging and judging", f"{max(one.lab for one in sizes) / 1e6:,.1f}", ""])
    show(
        f"Memory of a run of {found.rate_rps * seconds:,.0f} requests at {found.rate_rps:,.0f}/s ({seconds:.0f} s)",
        ["resident MB", "lab", "engine"],
        rows,
        [_grown(growth), _kept(found)],
    )
    return 0 if max(growth.values()) <= ASKED_GROWTH_BYTES and not found.not_ok else 1


def _grown(growth: dict[str, int]) -> str:
    each = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in growth.items())
    return f"growth after the first third: {each} (asked: at most {ASKED_GROWTH_BYTES / 1e6:.0f} MB)"


def _kept(found: Held) -> str:
    verdict = "held" if not found.faults else "NOT held: " + "; ".join(found.faults)
    return f"the rate was {verdict} (send lag p99 {found.send_lag_p99_ms:.3g} ms)"


if __name__ == "__main__":
    sys.exit(main())
