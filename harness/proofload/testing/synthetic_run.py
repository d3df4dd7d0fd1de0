"""Run folders of any size without a run: what a load of so many requests would have left behind.

For tests and benchmarks of everything downstream of the run folder. Written through the store's own
RunFolder, segment by segment, so that the writer's memory does not grow with the number of samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import SAMPLE_DTYPE, Event, Outcome, Reading
from proofload.scenarios import Scenario
from proofload.store.folder import RunFolder, claim

START_NS = 7_000 * NS_PER_S
_SEGMENT_S = 2.0
_TIMEOUT_S = 5.0
_MEDIAN_MS = 4.0
_SIGMA = 0.5
_NAMES = (("version", 1, "1.0.0"), ("error", 2, "http-500"), ("error", 3, "reset"), ("error", 4, "wrong-answer"))
_GAUGES = {"cpu_share": 0.7, "rss_bytes": 2e8, "uss_bytes": 1.8e8, "fds": 41.0, "threads": 12.0, "sockets": 9.0}
_MIX: Mapping[Outcome, float] = {Outcome.TIMEOUT: 2e-4, Outcome.ERROR: 1e-4, Outcome.SHED: 2e-4, Outcome.LATE: 0.0}
SYNTHETIC_ENVIRONMENT: Mapping[str, Any] = {
    "proofload": "0.0",
    "python": "3.11.0",
    "system": "Linux 6.1",
    "cpu": "none",
    "cores": 2,
    "usable_cores": [0, 1],
    "memory_gib": 4.0,
    "open_files_limit": 1024,
    "local_ports": "32768-60999",
    "clock_source": "tsc",
    "load_average_before": [0.0, 0.0, 0.0],
    "accelerators": {},
    "libraries": {},
}
"""Of the form that `proofload.environment.environment` gives."""


def write_run(
    out: Path, samples: int, *, rate_rps: float = 1000.0, seed: int = 1, compact: bool = True, complete: bool = True
) -> Path:
    """A folder of one `load` phase of `samples` requests: lognormal latency, a few timeouts, errors and sheds.

    `compact`: as after an ordinary end; else as a killed lab leaves it. `complete`: whether the run says that
    it reached its end.
    """
    duration_s = samples / rate_rps
    folder = RunFolder(claim(out), run_json(rate_rps, duration_s, seed))
    _event(
        folder,
        0.0,
        "phase",
        phase=0,
        name="load",
        arrival="constant",
        rate_rps=rate_rps,
        duration_s=duration_s,
        seed=seed,
        start_ns=START_NS,
        measured=True,
    )
    for kind, number, text in _NAMES:
        _event(folder, 0.0, "name", of=kind, number=number, text=text)
    rng = np.random.default_rng(seed)
    for first, rows in segments(samples, rate_rps=rate_rps, rng=rng):
        folder.add_samples(rows)
        folder.add_readings(list(_readings(first / rate_rps, len(rows) / rate_rps, first, rng)))
        folder.flush_readings()
        for second in range(round(first / rate_rps), round((first + len(rows)) / rate_rps)):
            _event(folder, second + 1.0, "health", worker=0, cpu_share=0.21, runqueue_share=0.001, loop_stalls=0,
                   max_stall_ms=0.4, gc_pause_ms=0.1, fds=40, steal_share=0.0)  # fmt: skip
    _event(folder, duration_s, "phase-planned", phase=0, planned=samples)
    if complete:
        _event(folder, duration_s, "run-complete")
    if compact:
        folder.close()
    return out


def segments(samples: int, *, rate_rps: float, rng: np.random.Generator) -> Iterator[tuple[int, NDArray[np.void]]]:
    """(number of the first row, rows) of two seconds each, due at a constant rate."""
    step = max(1, round(rate_rps * _SEGMENT_S))
    for first in range(0, samples, step):
        yield first, _rows(first, min(step, samples - first), rate_rps, rng)


def _rows(first: int, count: int, rate_rps: float, rng: np.random.Generator) -> NDArray[np.void]:
    rows = np.zeros(count, SAMPLE_DTYPE)
    seq = np.arange(first, first + count)
    rows["seq"] = seq
    rows["intended_ns"] = START_NS + np.round(seq * (NS_PER_S / rate_rps)).astype(np.int64)
    rows["dispatched_ns"] = rows["intended_ns"] + rng.exponential(0.03 * NS_PER_MS, count).astype(np.int64)
    rows["sent_ns"] = rows["dispatched_ns"] + rng.exponential(0.01 * NS_PER_MS, count).astype(np.int64)
    served = rng.lognormal(np.log(_MEDIAN_MS * NS_PER_MS), _SIGMA, count).astype(np.int64)
    rows["done_ns"] = rows["sent_ns"] + served
    rows["payload"] = rng.integers(0, 2048, count)
    rows["status"], rows["bytes_in"], rows["version"] = 200, 133, 1
    rows["outcome"] = Outcome.OK
    draw, edge = rng.random(count), 0.0
    for outcome, share in _MIX.items():
        hit = (draw >= edge) & (draw < edge + share)
        edge += share
        rows["outcome"][hit] = outcome
        rows["version"][hit] = 0
        if outcome is Outcome.TIMEOUT:
            rows["status"][hit] = -1
            rows["done_ns"][hit] = rows["intended_ns"][hit] + round(_TIMEOUT_S * NS_PER_S)
        elif outcome is Outcome.SHED:
            rows["status"][hit] = 503
        else:
            rows["status"][hit], rows["error"][hit] = 500, 2
    return rows


def _readings(at_s: float, length_s: float, served: int, rng: np.random.Generator) -> Iterator[Reading]:
    for half in range(max(1, round(2 * length_s))):
        t_ns = START_NS + round((at_s + half / 2) * NS_PER_S)
        for name, level in _GAUGES.items():
            yield Reading(t_ns, "process", name, level * float(rng.normal(1.0, 0.02)))
        for part, mean_s in (("queue", 0.0008), ("compute", 0.0021), ("request", 0.0035)):
            count = served + half * 500
            yield Reading(t_ns, "prometheus", f"proofload_{part}_seconds_count", count)
            yield Reading(t_ns, "prometheus", f"proofload_{part}_seconds_sum", count * mean_s)


def run_json(rate_rps: float, duration_s: float, seed: int) -> dict[str, Any]:
    """A run.json with all that judging and reporting read."""
    scenario = Scenario(
        name="load",
        procedure="load",
        targets=("synthetic",),
        arrival="constant",
        rate_rps=rate_rps,
        duration_s=duration_s,
        timeout_s=_TIMEOUT_S,
        seed=seed,
        slo={"p99_ms": 50.0, "ok_share": 0.999},  # type: ignore[arg-type]  # pydantic makes the table
    )
    return {
        "schema": "proofload.run/1",
        "scenario": scenario.model_dump(mode="json"),
        "quick": False,
        "target": {"name": "synthetic", "transport": "http", "url": "http://127.0.0.1:9/v1/predict", "model": "fraud"},
        "payloads": {
            "file": "payloads.jsonl",
            "count": 2048,
            "with_expectation": 2048,
            "bodies_sha256": "",
            "mean_bytes": 412.0,
            "unchecked": [],
        },
        "placement": {
            "runtime": "process",
            "device": "cpu",
            "engine_cores": [0],
            "target_cores": [1],
            "shared_cores": [],
            "server": {},
        },
        "prices": {},
        "environment": SYNTHETIC_ENVIRONMENT,
        "host": {},
        "seed": seed,
        "command": "proofload run load --target synthetic",
        "started_at": "2026-01-01T00:00:00+00:00",
    }


def _event(folder: RunFolder, at_s: float, kind: str, **detail: Any) -> None:
    folder.add_event(Event(START_NS + round(at_s * NS_PER_S), kind, detail))
