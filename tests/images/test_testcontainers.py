"""A container that testcontainers started, as in a user's own tests, measured where its port is published."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import docker
import pytest
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HealthcheckWaitStrategy

pytestmark = [pytest.mark.containers, pytest.mark.real, pytest.mark.timeout(300)]

PORT = 8000
OFTEN = {"interval": 500_000_000}
"""The image's own health check, only more often."""
SETTINGS = ("rate_rps=200", "duration_s=3", "warmup_s=0", "timeout_s=20", "slo.ok_share=0.98")
LIMITS = ("slo.p50_ms=20000", "slo.p95_ms=20000", "slo.p99_ms=20000")
"""How fast it is beside other tests is not asked here."""


@pytest.fixture
def server(servers_image: str, monkeypatch: pytest.MonkeyPatch) -> DockerContainer:
    """The image alone, without a command. No helper of testcontainers is fetched for it (Ryuk), and its port is taken
    to be published on this host, whether or not the tests themselves are in a container."""
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)
    monkeypatch.setattr(testcontainers_config, "connection_mode_override", ConnectionMode.docker_host)
    health = HealthcheckWaitStrategy().with_poll_interval(0.1).with_startup_timeout(90)
    server = DockerContainer(servers_image, healthcheck=OFTEN).with_exposed_ports(PORT).waiting_for(health)
    loopback: Any = ("127.0.0.1", None)  # a free port of it: testcontainers would take every address
    server.ports[str(PORT)] = loopback
    return server


def measured(url: str, payloads: Path, out: Path) -> dict[str, Any]:
    words = ["run", "load", "--runtime", "external", "--target", url, "--payloads", payloads, "--out", out]
    changes = [word for setting in (*SETTINGS, *LIMITS) for word in ("--set", setting)]
    command = [sys.executable, "-m", "proofload", *map(str, words), *changes, "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 3}, done.stderr  # 3 where a busy machine made the client late
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_it_is_measured_and_left_alone_and_gone_when_testcontainers_ends_it(
    server: DockerContainer, container_engine: docker.DockerClient, checkout: Path, tmp_path: Path
) -> None:
    payloads = checkout / "fixtures" / "build" / "fraud" / "payloads.jsonl"
    with server:
        url = f"http://127.0.0.1:{server.get_exposed_port(PORT)}/v1/predict"
        result = measured(url, payloads, tmp_path / "run")
        container = container_engine.containers.get(server.get_container_id())
        assert (container.status, container.attrs["RestartCount"]) == ("running", 0)
    with pytest.raises(docker.errors.NotFound):
        container.reload()
    checks = {check["name"]: check["status"] for check in result["checks"]}
    assert checks["wrong_share"] == "pass"
    phase = result["phases"][-1]
    assert sum(phase["outcomes"].values()) == phase["planned"] > 500
    assert phase["outcomes"]["ok"] > 0.9 * phase["planned"]
    run = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert run["placement"]["runtime"] == "external"
