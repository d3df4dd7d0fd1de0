"""Containers that are killed in mid-run, and a lab that is interrupted while one is up."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from proofload.runtimes._container_launch import TARGET_LABEL
from proofload.store.record import RunRecord
from proofload.testing.runtime_kit import STUB

pytestmark = [pytest.mark.real, pytest.mark.containers, pytest.mark.timeout(300)]
TARGET = """
name = "{name}"
transport = "http"
url = "http://127.0.0.1:{{port}}/predict"
payloads = "payloads.jsonl"
[health]
ready = "/ready"
[container]
image = "python:3.11-slim-bookworm"
command = ["python3", "/stub.py", "{{port}}"]
env = {{ STUB_ADDRESS = "0.0.0.0" }}
volumes = {{ "/stub.py" = "{stub}:ro" }}
"""
PATIENCE_S = 60.0


@pytest.fixture
def begun(
    container_engine: docker.DockerClient, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[subprocess.Popen[str], Callable[[], list[docker.models.containers.Container]]]]:
    """A run on its way, and the containers of its target that there are."""
    name = f"mortal-{abs(hash(request.node.name)) % 10**8}"
    (tmp_path / "one.target.toml").write_text(TARGET.format(name=name, stub=STUB))
    (tmp_path / "payloads.jsonl").write_text('{"body": {"value": 2}, "expect": 4}\n')
    words = ["--set", "duration_s=60", "--set", "rate_rps=100", "--set", "warmup_s=0", "--runtime", "container"]
    target = ["--target", str(tmp_path / "one.target.toml"), "--out", str(tmp_path / "run")]
    lab = subprocess.Popen(
        [sys.executable, "-m", "proofload", "run", "load", *target, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def there() -> list[docker.models.containers.Container]:
        return list(container_engine.containers.list(all=True, filters={"label": f"{TARGET_LABEL}={name}"}))

    patience = time.monotonic() + PATIENCE_S
    while not any((tmp_path / "run" / "samples").glob("*.parquet")):
        assert lab.poll() is None, lab.communicate()
        assert time.monotonic() < patience
        time.sleep(0.05)
    yield lab, there
    if lab.poll() is None:
        lab.kill()
    lab.communicate()


def test_a_killed_container_is_a_target_that_died_and_every_request_is_accounted_for(
    begun: tuple[subprocess.Popen[str], Callable[[], list[docker.models.containers.Container]]], tmp_path: Path
) -> None:
    lab, there = begun
    [server] = there()
    server.kill()
    _, err = lab.communicate(timeout=PATIENCE_S)
    assert lab.returncode == 1, err
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    [died] = [check for check in result["checks"] if check["name"] == "target-stays-up"]
    assert died["status"] == "fail"
    assert "SIGKILL" in died["evidence"]
    record = RunRecord(tmp_path / "run")
    [phase] = record.phases
    assert len(record.samples(phase.index)) == phase.planned > 0
    assert there() == []


def test_ctrl_c_removes_the_container(
    begun: tuple[subprocess.Popen[str], Callable[[], list[docker.models.containers.Container]]], tmp_path: Path
) -> None:
    lab, there = begun
    assert len(there()) == 1
    lab.send_signal(signal.SIGINT)
    _, err = lab.communicate(timeout=PATIENCE_S)
    assert lab.returncode == 130, err
    assert there() == []
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "invalid"
