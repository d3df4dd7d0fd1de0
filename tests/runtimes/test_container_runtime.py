"""Targets in containers, on a real engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest
from tests.runtimes.hasty_clock import HastyClock, has_said

from proofload import _container_sweep
from proofload.errors import InputError, TargetError
from proofload.runtimes import Placement
from proofload.runtimes._container_engine import endpoint
from proofload.runtimes.container import ContainerRuntime
from proofload.target_model import Target
from proofload.testing import runtime_kit
from proofload.testing.eventually import eventually
from proofload.testing.runtime_kit import STUB, RuntimeCase
from proofload.watchdog import Watchdog

pytestmark = [pytest.mark.real, pytest.mark.containers]
IMAGE = "python:3.11-slim-bookworm"
STUB_COMMAND = ["python3", "/stub.py", "{port}"]
EVERYWHERE = {"STUB_ADDRESS": "0.0.0.0"}  # inside the container
FOREVER = "import time; time.sleep(600)"
LISTENS = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("it listens", flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def image(container_engine: docker.DockerClient) -> None:
    assert container_engine.images.get(IMAGE)


def contained(command: list[str], **more: Any) -> Target:
    limits = more.pop("limits", {})
    health = more.pop("health", {"ready": "/ready"})
    container = {
        "image": IMAGE,
        "command": command,
        "env": EVERYWHERE,
        "volumes": {"/stub.py": f"{STUB}:ro"},
        "ready_timeout_s": 30.0,
        **more,
    }
    return Target.model_validate(
        {
            "name": "stub",
            "transport": "http",
            "url": "http://127.0.0.1:{port}/predict",
            "health": health,
            "container": container,
            "limits": limits,
        }
    )


@contextmanager
def example(_: Path) -> Iterator[Target]:
    yield contained(STUB_COMMAND, hardened=True)


@pytest.mark.parametrize("claim", runtime_kit.CLAIMS, ids=runtime_kit.claim_name)
def test_it_conforms(claim: Callable[[RuntimeCase], None], tmp_path: Path) -> None:
    claim(RuntimeCase(ContainerRuntime(), starts_targets=True, folder=tmp_path, example=example))


def test_limits_instants_and_what_it_wrote_are_recorded(tmp_path: Path, container_engine: docker.DockerClient) -> None:
    target = contained(STUB_COMMAND, hardened=True, limits={"cpus": 0.5, "memory_mib": 128})
    with ContainerRuntime().start(target, Placement(log_dir=tmp_path, env={"MODE": "slow"})) as server:
        held = container_engine.containers.get(server.container_id).attrs
        order = [server.timeline[f"{name}_ns"] for name in ("spawn", "created", "started", "port_bound", "ready")]
        assert order == sorted(order)
        facts = server.facts()
    configured = held["HostConfig"]
    assert configured["NanoCpus"] == 500_000_000
    assert configured["Memory"] == configured["MemorySwap"] == 128 * 1024 * 1024
    assert configured["ReadonlyRootfs"]
    assert configured["CapDrop"] == ["ALL"]
    assert configured["SecurityOpt"] == ["no-new-privileges"]
    assert all(one["HostIp"] == "127.0.0.1" for ports in configured["PortBindings"].values() for one in ports)
    assert "MODE=slow" in held["Config"]["Env"]
    assert (facts["image"], facts["limits"]["memory_mib"]) == (IMAGE, 128)
    assert "stub server starting" in (tmp_path / "0-stub.log").read_text()
    after = server.facts()
    assert after["exit_code"] == 0
    with pytest.raises(docker.errors.NotFound):
        container_engine.containers.get(server.container_id)


def test_a_server_that_needs_more_memory_than_it_may_have_is_said_to(tmp_path: Path) -> None:
    target = contained(["python3", "-c", "held = [bytearray(10**7) for _ in range(100)]"], limits={"memory_mib": 64})
    with pytest.raises(TargetError, match="before it was ready") as told:
        with ContainerRuntime().start(target, Placement(log_dir=tmp_path)):
            pass
    assert "memory limit was reached" in told.value.cause


def test_a_server_that_listens_on_its_own_loopback_is_told_so(tmp_path: Path) -> None:
    target = contained(["python3", "-c", LISTENS, "{port}"])
    clock = HastyClock(has_said(tmp_path / "0-stub.log", "it listens"))
    with pytest.raises(TargetError) as told:
        with ContainerRuntime(clock, drain_s=0).start(target, Placement(log_dir=tmp_path)):
            pass
    assert "127.0.0.1 only" in told.value.cause


def test_without_a_health_page_a_port_that_nobody_listens_behind_is_not_ready(tmp_path: Path) -> None:
    target = contained(["python3", "-c", FOREVER], ready_timeout_s=1.5, health={})
    with pytest.raises(TargetError, match="was not ready"):
        with ContainerRuntime(drain_s=0).start(target, Placement(log_dir=tmp_path)):
            pass


def test_an_image_that_is_not_here_is_an_input_error_with_what_to_do(tmp_path: Path) -> None:
    target = contained([], image="proofload-servers:no-such-tag")
    with pytest.raises(InputError, match="is not here") as told:
        with ContainerRuntime().start(target, Placement(log_dir=tmp_path)):
            pass
    assert "make images" in told.value.remedy


def test_a_target_without_a_container_and_an_engine_that_is_not_there_are_input_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = contained(STUB_COMMAND).model_copy(update={"container": None})
    with pytest.raises(InputError, match="does not say what container"):
        with ContainerRuntime().start(bare, Placement(log_dir=tmp_path)):
            pass
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(InputError, match="no container engine answers"):
        with ContainerRuntime().start(contained(STUB_COMMAND), Placement(log_dir=tmp_path)):
            pass


def test_a_server_on_the_hosts_network_binds_its_own_port(tmp_path: Path) -> None:
    target = contained(STUB_COMMAND, env={}, network="host")
    with ContainerRuntime().start(target, Placement(log_dir=tmp_path)) as server:
        server.check_alive()
        assert server.timeline["port_bound_ns"] <= server.timeline["ready_ns"]


def test_a_container_removed_by_somebody_else_is_a_dead_target(
    tmp_path: Path, container_engine: docker.DockerClient
) -> None:
    with ContainerRuntime().start(contained(STUB_COMMAND), Placement(log_dir=tmp_path)) as server:
        container_engine.containers.get(server.container_id).remove(force=True)
        with pytest.raises(TargetError, match="died during the run"):
            server.check_alive()


LAB = """
import sys, time
from pathlib import Path
from proofload.runtimes import Placement
from proofload.runtimes.container import ContainerRuntime
from proofload.watchdog import Watchdog
from tests.runtimes.test_container_runtime import STUB_COMMAND, contained
with Watchdog() as watchdog:
    placement = Placement(log_dir=Path(sys.argv[1]), watchdog=watchdog)
    with ContainerRuntime().start(contained(STUB_COMMAND), placement):
        print(watchdog.token, flush=True)
        time.sleep(600)
"""


def test_a_killed_lab_leaves_no_container_behind(tmp_path: Path, container_engine: docker.DockerClient) -> None:
    lab = subprocess.Popen(
        [sys.executable, "-c", LAB, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert lab.stdout is not None
    token = lab.stdout.readline().strip()
    label = {"label": f"{_container_sweep.LABEL}={token}"}
    assert len(container_engine.containers.list(all=True, filters=label)) == 1
    lab.send_signal(signal.SIGKILL)
    lab.wait()
    lab.stdout.close()
    assert eventually(lambda: container_engine.containers.list(all=True, filters=label) == [], every_s=0.1)


def test_the_watchdog_says_that_it_had_to_remove_a_container(container_engine: docker.DockerClient) -> None:
    with Watchdog() as watchdog:
        watchdog.adopt_engine(endpoint())
        container_engine.containers.create(
            IMAGE, ["python3", "-c", FOREVER], labels={_container_sweep.LABEL: watchdog.token}
        )
    assert watchdog.left_behind
    with Watchdog() as watchdog:
        watchdog.adopt_engine(endpoint())
    assert not watchdog.left_behind
