"""The probe on a real device: a process that computes there, and one that does not."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from proofload.probes import Subject, gpu

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(300)]
PATIENCE_S = 120.0
BUSY = """
import sys, numpy as np
from pathlib import Path
from proofload_servers.serving.session import open_session
session = open_session(Path(sys.argv[1]), device="cuda", threads=1, max_batch=8)
batch = np.zeros((8, 3, 224, 224), np.float32)
print("computing", flush=True)
while True:
    session.run(batch)
"""


@pytest.fixture
def busy(usable: Callable[[str], str], built_models: Path) -> Iterator[int]:
    """The process id of a program that keeps a device busy."""
    usable("cuda")
    command = [sys.executable, "-c", BUSY, str(built_models / "resnet50" / "model.onnx")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "computing\n"
            yield program.pid
        finally:
            program.kill()


def test_what_a_busy_process_does_is_read(busy: int, accelerators: Mapping[str, Any]) -> None:
    probe = gpu.create(Subject(0, pids=(busy,)))
    assert probe is not None
    first: dict[str, float] = {}
    seen: dict[str, float] = {}
    give_up = time.monotonic() + PATIENCE_S
    try:
        while not (seen.get("utilisation", 0.0) > 0 and seen.get("energy_j", 1.0) > 0):
            assert time.monotonic() < give_up, f"read last: {seen}"
            time.sleep(probe.interval_s)
            seen = {one.name: one.value for one in probe.read()}
            first = first or seen
    finally:
        probe.close()
    assert seen["devices"] >= 1
    assert 0 < seen["memory_bytes"] <= seen["memory_total_bytes"]
    assert seen.get("energy_j", 0.0) >= first.get("energy_j", 0.0)
    if "power_w" in seen:
        assert 0 < seen["power_w"] <= 1.2 * seen.get("power_limit_w", float("inf"))
    print({"accelerators": dict(accelerators), "read": seen})  # shown with -rP: what this device tells


def test_a_process_that_computes_elsewhere_is_on_no_device(accelerators: Mapping[str, Any]) -> None:
    with subprocess.Popen(["sleep", "60"]) as program:
        try:
            probe = gpu.create(Subject(0, pids=(program.pid,)))
            assert probe is not None
            assert [(one.name, one.value) for one in probe.read()] == [("devices", 0.0)]
            probe.close()
        finally:
            program.kill()
