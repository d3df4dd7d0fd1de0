"""Servers with planted defects in containers with limits: what the limits do is seen, and named.

Two labs at a time: the one waits for memory to fill, the other is held to half a core.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.real, pytest.mark.containers, pytest.mark.quiet]

PATIENCE_S = 110.0
TARGET = """
name = "{name}"
transport = "http"
url = "http://127.0.0.1:{{port}}/v1/predict"
model = "{model}"
payloads = "{{fixtures}}/{{model}}/payloads.jsonl"
[response]
prediction = "$.prediction"
rtol = 1e-4
[health]
ready = "/health/ready"
live = "/health/live"
[container]
image = "{image}"
command = [
  "proofload_servers.fastapi_app", "--host", "0.0.0.0", "--port", "{{port}}", "--model", "{{model}}",
  "--fault", "{fault}",
]
env = {{ PROOFLOAD_ALLOW_FAULTS = "1" }}
hardened = true
[limits]
{limits}
"""
LEAK = "leak-memory:bytes=7000000,per=second"
"""256 MiB last for about half a minute."""
SHORT_PEAK = (
    "trickle_s=2", "trickle_rps=1", "base_rate_rps=1", "multiples=[1, 2, 5]", "base_s=4", "step_s=2", "plateau_s=3",
    "hold_s=5", "back_s=5", "recover_within_s=3",
)  # fmt: skip


@dataclass(frozen=True)
class Lab:
    """A run on its way."""

    process: subprocess.Popen[str]
    folder: Path

    @staticmethod
    def begun(folder: Path, scenario: str, *settings: str, **target: str) -> Lab:
        folder.mkdir()
        file = folder / f"{target['name']}.target.toml"
        file.write_text(TARGET.format(**target))
        words = [word for setting in settings for word in ("--set", setting)]
        command = ["run", scenario, "--quick", "--runtime", "container", "--target", file, "--out", folder / "run"]
        process = subprocess.Popen(
            [sys.executable, "-m", "proofload", *map(str, command), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return Lab(process, folder / "run")

    def result(self) -> Mapping[str, Any]:
        _, err = self.process.communicate(timeout=PATIENCE_S)
        path = self.folder / "result.json"
        assert path.exists(), err
        return dict(json.loads(path.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def results(servers_image: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Mapping[str, Any]]:
    folder = tmp_path_factory.mktemp("limits")
    labs = {
        "leaking": Lab.begun(
            folder / "leaking", "soak", "rate_rps=50", "duration_s=90", name="leaking", model="fraud",
            image=servers_image, fault=LEAK, limits="memory_mib = 256",
        ),
        "crowded": Lab.begun(
            folder / "crowded", "peak-10x", *SHORT_PEAK, name="crowded", model="resnet50", image=servers_image,
            fault="oversubscribed-threads", limits="cpus = 0.5",
        ),
    }  # fmt: skip
    try:
        return {name: lab.result() for name, lab in labs.items()}
    finally:
        for lab in labs.values():
            if lab.process.poll() is None:
                lab.process.terminate()
                lab.process.wait(PATIENCE_S)


def checks(result: Mapping[str, Any]) -> dict[str, Any]:
    return {check["name"]: check for check in result["checks"]}


def test_a_leak_that_reaches_the_memory_limit_is_foretold_seen_and_named(results: Mapping[str, Any]) -> None:
    result = results["leaking"]
    found = checks(result)
    assert result["status"] == "fail"
    assert found["target-stays-up"]["cause"] == "out-of-memory"
    assert "its memory limit was reached" in found["target-stays-up"]["evidence"]
    assert found["memory-growth"]["cause"] == "memory-leak"
    [memory] = [signal for signal in result["details"]["signals"] if signal["name"] == "memory"]
    assert memory["limit"] == 256 * 2**20
    reached = memory["reached"]
    assert reached["foretold_by_s"] <= 0.55 * reached["at_s"]
    assert reached["foretold_s"][0] == pytest.approx(reached["at_s"], rel=0.3)


def test_threads_that_use_up_a_cpu_limit_are_seen_to_be_throttled_and_both_are_named(
    results: Mapping[str, Any],
) -> None:
    result = results["crowded"]
    found = checks(result)
    assert found["throttling"]["status"] == "fail"
    assert found["throttling"]["cause"] == "cpu-throttled"
    assert "its CPU limit of 0.5 cores" in found["throttling"]["evidence"]
    assert {"oversubscribed-threads", "cpu-throttled"} <= set(result["details"]["causes"])
