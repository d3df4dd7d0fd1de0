"""The servers in their image: ready, right, stopped without a kill, and without a right they do not need."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proofload.brokers import embedded_broker
from proofload.runtimes._ports import free_ports

if TYPE_CHECKING:
    from tests.images.conftest import Ask, Start, Started

pytestmark = [pytest.mark.containers, pytest.mark.real, pytest.mark.timeout(300)]

OPERATIONAL = {"fastapi_app": 8000, "flask_app": 8000, "grpc_service": 9100}
"""The port inside that says whether the server is ready."""
SEVERAL = ("--workers", "2")
READING = """
import contextlib, os
for pid in os.listdir("/proc"):
    if pid.isdigit() and int(pid) != os.getpid():
        with contextlib.suppress(OSError):  # it may end meanwhile: a health check does
            state, parent = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[:2]
            print(pid, parent, state, sep=":")
"""
"""Every process inside, as pid:parent:state."""

WRITABLE = """
import os, sys
for root in sys.argv[1:]:
    for folder, _, files in os.walk(root):
        for one in [folder, *(os.path.join(folder, name) for name in files)]:
            if os.access(one, os.W_OK) and not os.path.islink(one): print(one)
"""


def processes(started: Started) -> dict[int, tuple[int, str]]:
    """pid: (its parent, its state), but for the process that looks."""
    found = (row.split(":") for row in started.reading("python", "-c", READING).split())
    return {int(pid): (int(parent), state) for pid, parent, state in found if parent != "0" or pid == "1"}


@pytest.mark.parametrize("workers", [(), SEVERAL], ids=["one process", "several"])
@pytest.mark.parametrize("server", OPERATIONAL)
def test_a_server_gets_ready_with_no_rights_at_all_and_a_stop_ends_it_cleanly(
    start: Start, ask: Ask, server: str, workers: tuple[str, ...]
) -> None:
    with start(server, *workers) as started:
        started.await_health("healthy")
        assert ask(f"{started.url(OPERATIONAL[server])}/health/ready").status_code == 200
        assert len(processes(started)) == 1 + (2 if workers else server == "flask_app")  # gunicorn has a master always
        assert started.stopped() == 0


@pytest.mark.kafka
def test_so_does_the_kafka_worker_on_the_network_of_the_host(start: Start, tmp_path: Path) -> None:
    with embedded_broker(tmp_path) as broker:
        port = free_ports(["metrics"])["metrics"]
        where = ["--broker", broker.bootstrap, "--host", "127.0.0.1", "--metrics-port", str(port)]
        with start("kafka_worker", *where, network_mode="host") as started:
            started.await_health("healthy")
            assert started.stopped() == 0


@pytest.mark.parametrize("model", ["scorer", "resnet50"])  # fraud: in test_testcontainers.py
def test_every_model_is_baked_in_and_gives_the_expected_answers(
    start: Start, ask: Ask, checkout: Path, model: str
) -> None:
    with (checkout / "fixtures" / "build" / model / "payloads.jsonl").open(encoding="utf-8") as file:
        payload = json.loads(file.readline())
    with start("fastapi_app", "--model", model) as started:
        started.await_health("healthy")
        answer = ask(f"{started.url()}/v1/predict", payload["body"]).json()
    assert answer["prediction"] == pytest.approx(payload["expect"], rel=1e-4)


def test_models_may_be_mounted_in_place_of_those_baked_in(
    start: Start, ask: Ask, checkout: Path, tmp_path: Path
) -> None:
    shutil.copytree(checkout / "fixtures" / "build" / "scorer", tmp_path / "fixtures" / "mine")
    (tmp_path / "fixtures").chmod(0o755)
    mounted = [f"{tmp_path}/fixtures:/opt/proofload/fixtures:ro"]
    with start("flask_app", "--model", "mine", volumes=mounted) as started:
        started.await_health("healthy")
        assert started.reading("ls", "/opt/proofload/fixtures").split() == ["mine"]


def test_it_is_not_healthy_before_its_model_is_loaded(start: Start) -> None:
    allowed = {"PROOFLOAD_ALLOW_FAULTS": "1"}
    at_once = {"interval": 500_000_000, "start_period": 1_000_000, "retries": 1}
    slow = ["--fault", "slow-load:load_s=8"]
    with start("grpc_service", *slow, environment=allowed, healthcheck=at_once) as started:
        started.await_health("unhealthy", because="503")
        started.await_health("healthy")


def test_it_is_not_healthy_any_more_once_it_drains(start: Start) -> None:
    with start("fastapi_app", "--drain-notice-s", "60") as started:
        started.await_health("healthy")
        started.container.kill(signal.SIGTERM)
        started.await_health("unhealthy", because="draining")


def test_a_stop_is_heard_before_there_is_anything_to_drain(start: Start) -> None:
    """A first process is not ended by a signal that it has no handler for; this one is waiting for its broker."""
    with start("kafka_worker", "--broker", "127.0.0.1:9", "--connect-s", "300") as started:
        started.until(lambda: "health and metrics" in started.log(), "its side port does not come")
        assert started.stopped() == 128 + signal.SIGTERM  # and not by the kill that follows a stop unheard


@pytest.mark.parametrize("server", ["fastapi_app", "flask_app"])
def test_a_worker_that_dies_is_replaced_and_leaves_no_zombie(start: Start, server: str) -> None:
    with start(server, *SEVERAL) as started:
        started.await_health("healthy")
        before = {pid for pid, (parent, _) in processes(started).items() if parent == 1}
        victim = min(before)
        code, said = started.container.exec_run(["sh", "-c", f"kill -KILL {victim}"])
        assert code == 0, said
        started.until(lambda: len(_workers(started) - {victim}) == 2, "the dead worker is not replaced")
        assert victim not in processes(started)
        assert started.stopped() == 0


def _workers(started: Started) -> set[int]:
    return {pid for pid, (parent, state) in processes(started).items() if parent == 1 and state != "Z"}


def test_it_runs_as_a_user_of_its_own_who_may_change_nothing(start: Start) -> None:
    """Even where the root file system is not read-only."""
    with start("fastapi_app", read_only=False) as started:
        lines = started.reading("cat", "/proc/1/status").splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        assert set(status["Uid"].split()) == {"10001"}
        assert set(status["Gid"].split()) == {"10001"}
        assert int(status["CapEff"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        assert started.reading("python", "-c", WRITABLE, "/opt", "/usr", "/etc") == ""
