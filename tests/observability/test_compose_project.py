"""The compose project for real: up until all are healthy, every server by its target file, the router's split, down."""

from __future__ import annotations

import collections
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from proofload.runtimes._ports import free_ports

pytestmark = [pytest.mark.real, pytest.mark.containers, pytest.mark.kafka, pytest.mark.timeout(300)]
OURS = "proofload-servers:cpu"
TARGETS = ("flask", "fastapi", "grpc", "kafka", "router")
HEALTHY_S = 120.0
USERS = 300
MODEL = "scorer"


@dataclass(frozen=True, slots=True)
class Project:
    """A running one. `ports` are those of the host, by the variable that moves them."""

    command: tuple[str, ...]
    root: Path
    environment: dict[str, str]
    ports: dict[str, int]
    engine: docker.DockerClient

    def compose(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *words],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def containers(self) -> list[Any]:
        label = f"com.docker.compose.project={self.environment['COMPOSE_PROJECT_NAME']}"
        found: list[Any] = self.engine.containers.list(all=True, filters={"label": label})
        return found

    def give(self, share: str) -> None:
        done = self.compose("exec", "-T", "router", "sh", "/etc/router/share", share)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def project(
    container_engine: docker.DockerClient,
    servers_image: str,
    required_program: Callable[..., str],
    checkout: Path,
) -> Iterator[Project]:
    services = yaml.safe_load((checkout / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    assert services["flask"]["image"] == servers_image == OURS
    _refuse_missing(container_engine, {services[name]["image"] for name in ("kafka", "redis", "router")})
    variables = re.findall(r"127\.0\.0\.1:\$\{(\w+):-\d+\}", (checkout / "docker-compose.yml").read_text("utf-8"))
    ports = free_ports(variables)
    running = Project(
        command=_compose(required_program),
        root=checkout,
        environment={
            **os.environ,
            **{name: str(port) for name, port in ports.items()},
            "COMPOSE_PROJECT_NAME": f"proofload-test-{os.getpid()}",
            "COMPOSE_PROFILES": "cpu",
            "MODEL": MODEL,
            "CACHE": "redis://redis:6379",
            "CANARY_SHARE": "0",
        },
        ports=ports,
        engine=container_engine,
    )
    try:
        done = running.compose("up", "--detach", "--no-build")
        assert done.returncode == 0, done.stderr
        _wait_until_healthy(running)
        yield running
    finally:
        done = running.compose("down", "--volumes", "--remove-orphans", "--timeout", "10")
    assert done.returncode == 0, done.stderr
    assert running.containers() == []


def _compose(required_program: Callable[..., str]) -> tuple[str, ...]:
    """docker-compose (1.29), else docker's plugin (2)."""
    if shutil.which("docker-compose") is None and shutil.which("docker") is not None:
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if plugin.returncode == 0:
            return ("docker", "compose")
    return (required_program("docker-compose"),)


def _refuse_missing(engine: docker.DockerClient, images: set[str]) -> None:
    for image in images:
        try:
            engine.images.get(image)
        except docker.errors.ImageNotFound:
            reason = f"not on this engine: {image} (docker pull {image})"
            if os.environ.get("PROOFLOAD_REQUIRE_ALL"):
                pytest.fail(f"{reason}, and PROOFLOAD_REQUIRE_ALL is set")
            pytest.skip(reason)


def _wait_until_healthy(project: Project) -> None:
    patience = time.monotonic() + HEALTHY_S
    while True:
        states = {one.name: one.attrs["State"] for one in project.containers()}
        health = {name: state.get("Health", {}).get("Status", state["Status"]) for name, state in states.items()}
        if len(health) == 8 and set(health.values()) == {"healthy"}:
            return
        if time.monotonic() > patience or "exited" in health.values():
            logs = project.compose("logs", "--no-color", "--tail", "20").stdout
            pytest.fail(f"not healthy after {HEALTHY_S:g} s: {health}\n{logs}")
        time.sleep(0.3)


def test_every_server_is_reached_as_an_external_target_through_its_file(project: Project, tmp_path: Path) -> None:
    """The files as they are in targets/, but for the ports, which are free ones here."""
    moved = _moved_ports(project)
    for name in TARGETS:
        text = (project.root / "targets" / f"compose-{name}.target.toml").read_text(encoding="utf-8")
        (tmp_path / f"compose-{name}.target.toml").write_text(
            re.sub(r"127\.0\.0\.1:(\d+)", lambda match: f"127.0.0.1:{moved[int(match[1])]}", text), encoding="utf-8"
        )
    named = [word for name in TARGETS for word in ("--target", f"compose-{name}")]
    settings = {"target.model": MODEL, "rate_rps": 40, "duration_s": 1, "warmup_s": 0, "timeout_s": 10}
    changed = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "proofload", "run", "load", "--quick", "--runtime", "external"),
            *named,
            *changed,
            *("--out", "measured", "--json", "results.json"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PROOFLOAD_FIXTURES": str(project.root / "fixtures" / "build")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1, 3}, done.stderr  # so few requests, on a busy machine, decide nothing
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["results"]
    assert [result["target"]["name"] for result in results] == [f"compose-{name}" for name in TARGETS]
    for result in results:
        (phase,) = (phase for phase in result["phases"] if phase["name"] == "load")
        outcomes = phase["outcomes"]
        reached = outcomes["ok"] + outcomes["shed"]  # flask refuses what waited long for a thread: on a busy machine
        assert reached == phase["planned"], (result["target"]["name"], outcomes)
        assert outcomes["ok"] > 10


def _moved_ports(project: Project) -> dict[int, int]:
    text = (project.root / "docker-compose.yml").read_text(encoding="utf-8")
    return {int(default): project.ports[name] for name, default in re.findall(r"127\.0\.0\.1:\$\{(\w+):-(\d+)\}", text)}


def test_the_router_splits_users_as_told_and_loses_no_request_while_shares_move(project: Project) -> None:
    assert collections.Counter(_arms(project).values()) == {"baseline": USERS}
    failed: list[Any] = []
    stop = threading.Event()
    traffic = threading.Thread(target=_keep_asking, args=(project, stop, failed))
    traffic.start()
    try:
        canary: dict[str, set[str]] = {}
        for share in ("0.1", "0.5", "1", "0.1"):
            project.give(share)
            canary[share] = {user for user, arm in _arms(project).items() if arm == "canary"}
    finally:
        stop.set()
        traffic.join()
    assert failed == []
    assert 10 <= len(canary["0.1"]) <= 60
    assert 100 <= len(canary["0.5"]) <= 200
    assert len(canary["1"]) == USERS
    assert canary["0.1"] < canary["0.5"], "a canary that grows keeps its users, one that shrinks has its first ones"
    assert project.compose("exec", "-T", "router", "sh", "/etc/router/share", "1.5").returncode == 2


def _arms(project: Project) -> dict[str, str]:
    """Who answers whom."""
    found = {}
    with closing(http.client.HTTPConnection("127.0.0.1", project.ports["ROUTER_PORT"], timeout=10)) as router:
        for number in range(USERS):
            user = f"user-{number * 7919}"
            router.request("GET", "/.proofload/arm", headers={"X-User-Id": user})
            answer = router.getresponse()
            _, arm = answer.read().decode().split()
            assert answer.headers["X-Proofload-Arm"] == arm
            found[user] = arm
    return found


def _keep_asking(project: Project, stop: threading.Event, failed: list[Any]) -> None:
    body = json.dumps({"values": [0.5] * 16})
    number = 0
    with closing(http.client.HTTPConnection("127.0.0.1", project.ports["ROUTER_PORT"], timeout=10)) as router:
        while not stop.is_set():
            number += 1
            router.request("POST", "/v1/predict", body, {"X-User-Id": str(number)})
            answer = router.getresponse()
            content = answer.read()
            if answer.status != 200 or "prediction" not in json.loads(content):
                failed.append((answer.status, content))


def test_predictions_are_kept_in_the_projects_redis(project: Project) -> None:
    body = json.dumps({"values": [0.25] * 16})
    with closing(http.client.HTTPConnection("127.0.0.1", project.ports["FASTAPI_PORT"], timeout=10)) as server:
        for _ in range(3):
            server.request("POST", "/v1/predict", body)
            assert server.getresponse().read()
        server.request("GET", "/metrics")
        metrics = server.getresponse().read().decode()
    (hits,) = re.findall(r"^proofload_cache_hits_total (\S+)$", metrics, re.MULTILINE)
    assert float(hits) >= 1
    kept = project.compose("exec", "-T", "redis", "redis-cli", "dbsize")
    assert int(kept.stdout.split()[-1]) >= 1


def test_containers_run_with_no_more_rights_than_the_file_gives(project: Project) -> None:
    for container in project.containers():
        host = container.attrs["HostConfig"]
        assert host["CapDrop"] == ["ALL"], container.name
        assert host["SecurityOpt"] == ["no-new-privileges:true"], container.name
        assert host["Memory"] > 0, container.name
        bound = [place["HostIp"] for places in host["PortBindings"].values() for place in places]
        assert set(bound) <= {"127.0.0.1"}, container.name
        if container.attrs["Config"]["Image"] == OURS:
            assert host["ReadonlyRootfs"], container.name
            assert host["NanoCpus"] == 1_000_000_000, container.name
            assert container.attrs["Config"]["User"].startswith("10001"), container.name
