"""Comparisons without servers: run folders of lifetimes whose service time is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from proofload.comparing import running
from proofload.judging import judge
from proofload.records import Result, Status, Validity
from proofload.report.sentences import headline
from proofload.scenarios import Scenario
from proofload.store.folder import write_json
from proofload.store.record import RunRecord
from proofload.store.result_json import result_to_json
from proofload.target_model import Target
from proofload.testing import synthetic_run

TARGET = """name = "{name}"
transport = "http"
url = "http://127.0.0.1:{{port}}/predict"
payloads = "payloads.jsonl"
[start]
command = ["false"]
"""


@dataclass
class FakeLab:
    """Stands for `run_scenario`: leaves a run folder in which each target's median service time is as set."""

    monkeypatch: pytest.MonkeyPatch
    medians: dict[str, float] = field(default_factory=dict)
    """By target, in ms; 4 where none is set."""
    invalid: set[str] = field(default_factory=set)
    """Run folders that come out invalid."""
    statuses: dict[str, Status] = field(default_factory=dict)
    """Of what is made once: by run folder."""
    payloads: dict[str, int] = field(default_factory=dict)
    """How many payloads each target was asked with."""
    bodies: dict[str, str] = field(default_factory=dict)
    """The digest of those, by run folder."""
    runtime: str = "process"
    until: int | None = None
    """Ctrl-C comes instead of the run of this number, from 0."""
    made: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)

    def run_scenario(self, scenario: Scenario, targets: Sequence[Target], *, out: Path, **_: Any) -> list[Result]:
        [target] = targets
        if self.until == len(self.made):
            raise KeyboardInterrupt
        self.made.append(out.name)
        self.seeds.append(scenario.seed)
        self.monkeypatch.setattr(synthetic_run, "_MEDIAN_MS", self.medians.get(target.name, 4.0))
        self.monkeypatch.setattr(synthetic_run, "_SIGMA", 0.05)
        out.rmdir()
        samples = round(scenario.rate_rps * scenario.duration_s)
        synthetic_run.write_run(out, samples, rate_rps=scenario.rate_rps, seed=100 * len(self.made))
        run = json.loads((out / "run.json").read_text())
        run |= {"scenario": scenario.model_dump(mode="json"), "target": target.redacted()}
        run["placement"]["runtime"] = self.runtime
        run["payloads"]["count"] = self.payloads.get(target.name, 2048)
        run["payloads"]["bodies_sha256"] = self.bodies.get(out.name, "0" * 64)
        write_json(out / "run.json", run)
        result = judge(RunRecord(out))
        status = self.statuses.get(out.name, Status.INVALID if out.name in self.invalid else result.status)
        doubts = (Validity("send-lag", ok=False, detail="late"),) if status is Status.INVALID else ()
        result = replace(result, status=status, validity=doubts, headline=headline(result))
        write_json(out / "result.json", result_to_json(result))
        return [result]


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> FakeLab:
    found = FakeLab(monkeypatch)
    monkeypatch.setattr(running, "run_scenario", found.run_scenario)
    return found


@pytest.fixture
def targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Writes target files into the working directory; gives what names them on a command line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "payloads.jsonl").write_text('{"body": {"value": 1}, "expect": 2}\n')

    def write(*names: str) -> list[str]:
        for name in names:
            (tmp_path / f"{name}.target.toml").write_text(TARGET.format(name=name))
        return [f"{name}.target.toml" for name in names]

    return write
