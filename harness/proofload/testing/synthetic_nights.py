"""Nights that nobody ran: run folders as `proofload run` would have left them, small and quick to write.

For tests of everything that is made of a history of nights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from proofload.nightly.night import Night
from proofload.nightly.plan import Cell
from proofload.records import (
    Capacity,
    Check,
    Cost,
    Distribution,
    Interval,
    PhaseSummary,
    Quantile,
    Result,
    Status,
    Validity,
)
from proofload.store.folder import write_json
from proofload.store.result_json import result_to_json
from proofload.testing.synthetic_run import run_json


@dataclass(frozen=True, slots=True)
class Made:
    """One run: what its result and its run.json say."""

    status: Status = Status.PASS
    p99_ms: float = 40.0
    cost: float | None = None
    capacity_rps: float | None = None
    complete: bool = True
    run: Mapping[str, Any] = field(default_factory=dict)
    """Members of run.json that differ, by dotted path."""
    said: str = "It holds."
    censored: bool = False


def result_of(cell: Cell, made: Made) -> Result:
    """A load run (or a capacity run) with the figures that nights follow."""
    p99_ms = made.p99_ms
    low_high = Interval(p99_ms * 0.97, p99_ms * 1.03)
    quantiles = {
        "p50": Quantile(0.5, p99_ms / 4, Interval(p99_ms / 4.1, p99_ms / 3.9)),
        "p99": Quantile(0.99, p99_ms, low_high, censored=made.censored),
    }
    nothing = Distribution(0, {}, None)
    phase = PhaseSummary("load", 1000, {"ok": 1000}, 100.0, 100.0, Distribution(1000, quantiles, p99_ms * 2),
                         nothing, nothing, 10.0)  # fmt: skip
    capacity = None
    if made.capacity_rps is not None:
        bounds = Interval(made.capacity_rps * 0.9, made.capacity_rps * 1.1)
        capacity = Capacity(made.capacity_rps, bounds, confirmed=True, steps=(), knee_rps=None)
    cost = None
    if made.cost is not None:
        cost = Cost(made.cost, Interval(made.cost * 0.9, made.cost * 1.1), "USD", priced=True, detail="made up")
    return Result(
        scenario=cell.scenario_name,
        procedure="load" if capacity is None else "capacity",
        target={"name": cell.target_name},
        status=made.status,
        validity=(Validity("send-lag", made.status is not Status.INVALID, "made up"),),
        checks=(Check("slo.p99_ms", made.status, p99_ms, 50.0, "ms", low_high, "made up"),),
        phases=(phase,),
        client=None,
        cost=cost,
        environment={},
        command="proofload run load",
        started_at="2026-01-01T00:00:00+00:00",
        duration_s=10.0,
        capacity=capacity,
        headline=(made.said,),
    )


def write_run(folder: Path, cell: Cell, made: Made) -> None:
    folder.mkdir(parents=True)
    run = run_json(100.0, 10.0, 1)
    for path, value in made.run.items():
        *tables, last = path.split(".")
        inner = run
        for table in tables:
            inner = inner.setdefault(table, {})
        inner[last] = value
    write_json(folder / "run.json", run)
    kinds = ["phase", *(["run-complete"] if made.complete else [])]
    lines = [json.dumps({"t_ns": 1, "kind": kind, "detail": {}}) for kind in kinds]
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(folder / "result.json", result_to_json(result_of(cell, made)))
    (folder / "report.html").write_text("<!DOCTYPE html><title>a report</title>", encoding="utf-8")
    (folder / "samples").mkdir()
    (folder / "samples" / "all.parquet").write_bytes(bytes(4096))


def write_night(out: Path, number: int, made: Mapping[Cell, Made | str | None]) -> Night:
    """`made`: a run, why there is none, or None for a cell that was not tried. Night 0 is 2026-01-01."""
    day = np.datetime64("2026-01-01") + number
    night = Night(out / "nights" / str(day), f"{day}T02:00:00+00:00", tuple(made))
    (night.folder / "cells").mkdir(parents=True)
    cells = [{"scenario": cell.scenario, "target": cell.target, "device": cell.device,
              "scenario_name": cell.scenario_name, "target_name": cell.target_name} for cell in made]  # fmt: skip
    write_json(night.folder / "night.json", {"began_at": night.began_at, "cells": cells, "plan": {}})
    for cell, run in made.items():
        if isinstance(run, Made):
            write_run(night.run_folder(cell), cell, run)
        elif run is not None:
            night.error_file(cell).write_text(run, encoding="utf-8")
    return night


def a_cell(target: str = "flask", scenario: str = "load", device: str = "cpu") -> Cell:
    return Cell(scenario, target, device, scenario, target)
