"""Witnesses with logs of their own, and the public door to hold against them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

WITNESS = Path(__file__).parent / "stubs" / "witness_server.py"
PATIENCE_S = 100
CORES = sorted(os.sched_getaffinity(0))


@dataclass
class Witness:
    """A server under load, and after its end what it knows."""

    url: str
    process: subprocess.Popen[str]
    log: Path

    def testimony(self) -> dict[str, Any]:
        """Ends it and gives its log."""
        self.process.terminate()
        assert self.process.wait(20) == 0
        found: dict[str, Any] = json.loads(self.log.read_text(encoding="utf-8"))
        return found


@dataclass(frozen=True)
class Run:
    """What the command line gave: exit code, result, standard error."""

    code: int
    result: dict[str, Any]
    err: str

    @property
    def main(self) -> dict[str, Any]:
        phase: dict[str, Any] = self.result["phases"][0]
        return phase

    @property
    def spoiled(self) -> set[str]:
        """Validity codes that are not ok."""
        return {item["code"] for item in self.result["validity"] if not item["ok"]}

    def check(self, name: str) -> dict[str, Any]:
        [found] = [check for check in self.result["checks"] if check["name"] == name]
        return dict(found)


Load = Callable[..., "Started"]


@dataclass
class Started:
    """A load run that is going on."""

    process: subprocess.Popen[str]
    out: Path

    def ended(self) -> Run:
        out, err = self.process.communicate(timeout=PATIENCE_S)
        assert "Traceback" not in err, err
        assert out, err
        return Run(self.process.returncode, json.loads(out), err)


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Callable[..., Witness]]:
    """Starts witnesses, pinned to the highest core: `witness("--freeze", 1)`."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: object) -> Witness:
        log = tmp_path / f"witness-{len(started)}.json"
        command = [sys.executable, str(WITNESS), str(log), "--core", str(CORES[-1]), *map(str, options)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return Witness(f"http://127.0.0.1:{int(process.stdout.readline())}/", process, log)

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Begins `proofload run load` against a URL: `load(url, duration_s=20)`."""
    payloads = tmp_path / "values.jsonl"
    lines = (json.dumps({"body": {"value": value}, "expect": 2 * value}) for value in range(256))
    payloads.write_text("\n".join(lines), encoding="utf-8")
    started: list[subprocess.Popen[str]] = []

    def begin(url: str, **settings: object) -> Started:
        chosen = {"rate_rps": 1000, "arrival": "constant", "warmup_s": 0, **settings}
        out = tmp_path / "run"
        command = [sys.executable, "-m", "proofload", "run", "load", "--target", url, "--payloads", str(payloads)]
        for key, value in chosen.items():
            command += ["--set", f"{key.replace('__', '.')}={value}"]
        command += ["--json", "-", "--out", str(out)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return Started(process, out)

    yield begin
    for process in started:
        process.kill()
        process.communicate()
