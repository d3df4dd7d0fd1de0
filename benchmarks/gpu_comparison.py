"""CPU against CUDA against TensorRT: what the FastAPI server holds with ResNet-50, and what it takes in energy.

    python benchmarks/gpu_comparison.py [--look] [--out DIR] [--report FILE] [--devices cpu cuda tensorrt]

`make gpu` runs it in the GPU set-up. Each device is driven by `proofload run`: `capacity` for the most that it holds,
then `load` at half of the least that any held, the same for all. A device that cannot be used is skipped with what it
said. `--look` only says whether there is a GPU: exit 0, or 3 where there is none. About ten minutes in all.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from gpu_page import NAMES, Found, Measured, page, skipped
from proofload.accelerators import ask, described, opened
from proofload.clock import NS_PER_S
from proofload.environment import environment
from proofload.errors import Unavailable
from proofload.probes.gpu import REASONS
from proofload.store.record import RunRecord

NONE_HERE = 3
BAD_INPUT = 2
TARGET = "fastapi"
SLO_MS = 250
WHAT = f"ResNet-50 (fixture), {TARGET} server, one process; p99 ≤ {SLO_MS} ms, at least 99 % answered right."
COMMON = {
    "target.model": "resnet50", "target.start.ready_timeout_s": 900, "slo.p99_ms": SLO_MS, "slo.ok_share": 0.99,
    "timeout_s": 5,
}  # fmt: skip
CAPACITY = {
    "start_rps": 8, "max_rps": 4000, "step_s": 4, "search_s": 120, "resolution": 0.1, "confirm_s": 30, "caution": 1,
}  # fmt: skip
LOAD_S, LOAD_REQUESTS = 30.0, 1000
SHARE_OF_LEAST = 0.5
REST_S, REST_EVERY_S = 5.0, 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--look", action="store_true", help="only say whether there is a GPU")
    parser.add_argument("--out", type=Path, help="for the run folders (default out/gpu-TIME)")
    parser.add_argument("--report", type=Path, default=Path("reports/gpu.md"))
    parser.add_argument("--devices", nargs="+", choices=list(NAMES), default=list(NAMES))
    options = parser.parse_args(arguments)
    missing = no_gpu()
    if missing:
        print("\n".join(skipped({"the GPU tests and the comparison of CPU, CUDA and TensorRT": missing})))
        return NONE_HERE
    if options.look:
        print("; ".join(f"{index}: {one.get('name', 'unnamed')}" for index, one in described().items()))
        return 0
    out = options.out or Path("out") / f"gpu-{datetime.now(UTC).strftime('%Y%m%d-%H%M%S')}"
    out.mkdir(parents=True)
    found = compared(options.devices, out.absolute())
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(page(found), encoding="utf-8")
    print("\n".join([*skipped(found.skipped), f"written: {options.report}"]))
    return 0


def no_gpu() -> str:
    """What is missing, or empty."""
    try:
        with opened():
            return ""
    except Unavailable as exc:
        return "; ".join(part for part in (exc.what, exc.evidence, exc.cause) if part)


def compared(devices: Sequence[str], out: Path) -> Found:
    at_rest = power_at_rest()
    reasons: dict[str, str] = {}
    capacity: dict[str, Measured] = {}
    for device in devices:
        one = run("capacity", device, {**COMMON, **CAPACITY}, out)
        if isinstance(one, Measured):
            capacity[device] = one
        else:
            reasons[NAMES[device]] = one
    rates = [rate for one in capacity.values() if (rate := (one.result.get("capacity") or {}).get("rate_rps"))]
    same_rate: dict[str, Measured] = {}
    rate_rps = round(SHARE_OF_LEAST * min(rates), 1) if rates else None
    if rate_rps is None:
        reasons["the same rate for all"] = "no device was shown to hold any"
    else:
        length_s = max(LOAD_S, LOAD_REQUESTS / rate_rps)
        for device in capacity:
            one = run("load", device, {**COMMON, "rate_rps": rate_rps, "duration_s": round(length_s)}, out)
            if isinstance(one, Measured):
                same_rate[device] = one
            else:
                reasons[f"{NAMES[device]} at the same rate"] = one
    return Found(
        made_by="make gpu",
        started_at=datetime.now(UTC).isoformat(timespec="minutes"),
        what=WHAT,
        accelerators=described(),
        at_rest_w=at_rest,
        environment=environment(),
        capacity=capacity,
        same_rate=same_rate,
        rate_rps=rate_rps,
        skipped=reasons,
    )


def run(scenario: str, device: str, settings: Mapping[str, object], out: Path) -> Measured | str:
    """One run of proofload, or why it could not be."""
    folder = out / f"{scenario}-{device}"
    own: dict[str, object] = {"target.start.env.PROOFLOAD_TRT_CACHE": out / "engines"} if device == "tensorrt" else {}
    threads = max(1, len(os.sched_getaffinity(0)) - 1)  # all that the client leaves
    own |= {"target.start.env.PROOFLOAD_THREADS": f'"{threads}"'} if device == "cpu" else {}
    words = ["run", scenario, "--target", TARGET, "--device", device, "--runtime", "process"]
    words += [word for name, value in {**settings, **own}.items() for word in ("--set", f"{name}={value}")]
    print(f"{NAMES[device]}: {scenario}", flush=True)
    command = [sys.executable, "-m", "proofload", *words, "--out", str(folder)]
    ended = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    written = folder / "result.json"
    if ended.returncode == BAD_INPUT or not written.exists():
        return reason(ended.stderr) or f"proofload ended with {ended.returncode} and no result"
    shown = [word.replace(str(out), "DIR") for word in words]
    told = RunRecord(folder)
    return Measured(
        result=json.loads(written.read_bytes()),
        command=shlex.join(["proofload", *shown]),
        busy_share=_mean(told, "utilisation"),
        clock_held_down={name: share for name in REASONS if (share := _mean(told, f"throttle_{name}"))},
    )


def reason(stderr: str) -> str:
    """What the server itself said, or for want of that the lab; without this machine's paths."""
    errors = [line.strip().removeprefix("error: ") for line in stderr.splitlines() if "error: " in line]
    said = errors[-1] if errors else stderr.strip()
    return said.replace(f"{Path.cwd()}/", "").replace(str(Path.home()), "~")


def power_at_rest() -> Mapping[str, float]:
    """Median watts by accelerator, over a few seconds; those left out that do not tell."""
    with opened() as library:
        boards = [library.nvmlDeviceGetHandleByIndex(index) for index in range(library.nvmlDeviceGetCount())]
        read: list[list[Any]] = []
        until = time.monotonic() + REST_S
        while time.monotonic() < until:
            read.append([ask(library, "nvmlDeviceGetPowerUsage", board) for board in boards])
            time.sleep(REST_EVERY_S)
    each = {str(index): values for index, values in enumerate(zip(*read, strict=True))}
    return {index: statistics.median(values) / 1000.0 for index, values in each.items() if None not in values}


def _mean(record: RunRecord, name: str) -> float | None:
    """Of a reading of the GPU probe, over the last measured phase."""
    series = record.readings().get((0, "gpu", name))
    phases = [phase for phase in record.phases if phase.measured]
    if series is None or not phases:
        return None
    start_ns = phases[-1].start_ns
    inside = (series.t_ns >= start_ns) & (series.t_ns <= start_ns + round(phases[-1].duration_s * NS_PER_S))
    return float(np.mean(series.values[inside])) if inside.any() else None


if __name__ == "__main__":
    sys.exit(main())
