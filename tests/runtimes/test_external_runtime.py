"""Targets that run already: found or refused with a remedy, never touched."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proofload import _process_trees as trees
from proofload.errors import InputError, TargetError
from proofload.runtimes import Placement
from proofload.runtimes.external import ExternalRuntime, Found
from proofload.target_model import Target
from proofload.testing.runtime_kit import running_stub

RUNTIME = ExternalRuntime(patience_s=0.3)
"""Of a target that is up, the first look is enough, however long it takes."""


def target(url: str, **more: Any) -> Target:
    return Target.model_validate({"name": "it", "transport": "http", "url": url, **more})


def refused(what: Target, folder: Path) -> TargetError:
    with pytest.raises(TargetError) as caught, RUNTIME.start(what, Placement(folder)):
        pass
    return caught.value


@pytest.mark.real
def test_a_listening_port_is_enough_without_a_health_endpoint(tmp_path: Path) -> None:
    with (
        running_stub() as (port, _),
        RUNTIME.start(target(f"http://127.0.0.1:{port}/x"), Placement(tmp_path)) as server,
    ):
        assert list(server.cpus) == []
        assert server.timeline == {}
        assert "warnings" not in server.facts()


@pytest.mark.real
def test_a_kafka_target_is_reached_at_its_broker(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as broker:
        what = target("kafka://{broker}", broker=f"127.0.0.1:{broker.getsockname()[1]}")
        with RUNTIME.start(what, Placement(tmp_path)) as server:
            server.check_alive()


def test_an_unreachable_target_says_what_was_tried_and_what_to_do(tmp_path: Path) -> None:
    error = refused(target("http://127.0.0.1:9/predict"), tmp_path)
    assert "127.0.0.1:9" in error.what
    assert "refused" in error.evidence
    assert "start it" in error.remedy


@pytest.mark.real
def test_a_target_that_is_not_ready_is_not_reachable(tmp_path: Path) -> None:
    with running_stub() as (port, _):
        error = refused(target(f"http://127.0.0.1:{port}/x", health={"ready": "/nowhere"}), tmp_path)
    assert "404" in error.evidence


@pytest.mark.real
def test_a_pid_is_verified_and_watched(tmp_path: Path) -> None:
    with running_stub() as (port, pid):
        what = target(f"http://127.0.0.1:{port}/x", probe={"pid": pid})
        with RUNTIME.start(what, Placement(tmp_path)) as server:
            assert set(server.cpus) == os.sched_getaffinity(pid)
            server.check_alive()
            who = trees.root(pid)
            assert who is not None
            trees.send(who, signal.SIGKILL)
            while trees.alive(who):
                pass
            with pytest.raises(TargetError, match="died"):
                server.check_alive()
        assert "probe.pid" in refused(what, tmp_path).evidence


@pytest.mark.parametrize(
    ("url", "remedy"), [("http://127.0.0.1:{port}/x", "actual value"), ("kafka://{broker}", "target.broker")]
)
def test_a_placeholder_that_only_a_start_would_fill_is_refused(url: str, remedy: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=remedy), RUNTIME.start(target(url), Placement(tmp_path)):
        pass


def test_a_url_with_an_impossible_port_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="port"), RUNTIME.start(target("http://127.0.0.1:99999/"), Placement(tmp_path)):
        pass


def test_a_far_target_comes_with_a_warning() -> None:
    facts = Found(target("http://198.51.100.7:80/x"), None, 0).facts()
    assert "not a loopback address" in facts["warnings"][0]


def test_a_url_on_this_machine_is_probed_by_the_process_that_listens_there(tmp_path: Path) -> None:
    code = """if True:
        import http.server
        server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
        print(server.server_port, flush=True)
        server.serve_forever()
    """
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with ExternalRuntime().start(target(f"http://127.0.0.1:{port}/"), Placement(log_dir=tmp_path)) as server:
                assert server.pids == (process.pid,)
                assert server.facts()["pid_found"] == "by the port it listens on"
                assert server.cpus == (), "what it may use is not what it is given"
        finally:
            process.kill()


def test_the_lab_does_not_take_itself_for_the_target(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        with ExternalRuntime().start(target(url), Placement(log_dir=tmp_path)) as server:
            assert server.pids == ()
