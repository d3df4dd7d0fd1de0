"""Workers for real, by two's on this machine: what they measured is one run, exactly; one that vanishes spoils it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload import _process_trees as trees
from proofload._locust import worker
from proofload._locust.joining import Gathering
from proofload._locust.worker import Shipment, serve_one_run
from proofload.analysis.summary import summarise
from proofload.clock import HostClock
from proofload.engine.client import EngineSpec, Stretch
from proofload.engine.recorder import Recorder
from proofload.engine.worker import ArmSpec
from proofload.errors import InputError, MeasurementError
from proofload.judging import judge
from proofload.records import Outcome, Samples, Status
from proofload.runtimes._ports import free_ports
from proofload.store.folder import RunFolder, claim
from proofload.store.record import RunRecord
from proofload.testing.synthetic_run import run_json

pytestmark = pytest.mark.real
TOKEN = "a token"
PROGRAM = "import sys; from proofload._locust.worker import serve_one_run; "
JOIN = f"serve_one_run('127.0.0.1', int(sys.argv[1]), token={TOKEN!r}, run=1, cores=[None])"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@contextmanager
def joining(listener: socket.socket, *hosts: str) -> Iterator[None]:
    """Workers in threads of this process, each with engine processes of its own. `hosts`: what each calls its host."""
    port = listener.getsockname()[1]
    named = {f"on {host} {number}": host for number, host in enumerate(hosts)}
    threads = [
        threading.Thread(
            target=serve_one_run,
            args=("127.0.0.1", port),
            kwargs={"token": TOKEN, "run": 1, "cores": [None]},
            name=name,
        )
        for name in named
    ]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()


def nothing(recorder: Recorder, left_s: float) -> None: ...


def arm(url: str, **more: Any) -> ArmSpec:
    return ArmSpec("http", url, connections=32, **more)


def test_percentiles_of_two_workers_are_those_of_their_pooled_samples(
    tmp_path: Path, url: str, payloads: str, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them says that it is on another host, and so begins by a clock of its own."""
    shipped: list[NDArray[np.void]] = []
    ship, here = Shipment.add_samples, HostClock.here()

    def keep(shipment: Shipment, rows: NDArray[np.void]) -> None:
        shipped.append(rows.copy())
        ship(shipment, rows)

    def claimed() -> HostClock:
        elsewhere = threading.current_thread().name.startswith("on elsewhere")
        return HostClock("elsewhere", 0) if elsewhere else here

    monkeypatch.setattr(Shipment, "add_samples", keep)
    monkeypatch.setattr(worker, "HostClock", type("Claimed", (), {"here": staticmethod(claimed)}))
    monkeypatch.setenv("SECRET", "s")
    run = RunFolder(claim(tmp_path / "run"), run_json(400, 2.0, 3))
    with joining(listener, "here", "elsewhere"):
        with Gathering(listener, TOKEN, 1, 2).ready(EngineSpec(payloads, [], peak_rps=800), run, os.environ) as engine:
            engine.open(0, arm(url, headers={"X-Key": "env:SECRET"}))
            engine.run([Stretch("load", 400, 2.0, arrival="poisson", seed=3)], nothing)
    run.close()
    record = RunRecord(tmp_path / "run")
    (phase,) = record.phases
    merged, pooled = record.samples(0), np.concatenate(shipped)

    assert set(pooled["worker"]) == {0, 1}
    assert np.array_equal(np.sort(merged.table["seq"]), np.arange(phase.planned))
    assert np.all(np.diff(merged.table["seq"]) == 1), "two halves of one schedule, each at its own instants"
    ours = summarise(phase, merged)
    theirs = summarise(phase, Samples(pooled[np.argsort(pooled["seq"])]))
    for told in ("latency", "service", "connection_wait"):
        assert getattr(ours, told) == getattr(theirs, told), told
    assert ours.outcomes["ok"] == phase.planned
    assert {event.detail["worker"] for event in record.events if event.kind == "health"} == {0, 1}
    instants = [event.t_ns for event in record.events]
    assert max(instants) - min(instants) < 60e9, "events of another clock are moved to this one"


def test_what_a_vanished_worker_owed_is_recorded_as_unsent_and_the_run_is_no_pass(
    tmp_path: Path, url: str, payloads: str, listener: socket.socket
) -> None:
    run = RunFolder(claim(tmp_path / "run"), run_json(200, 60.0, 1))
    victim = subprocess.Popen([sys.executable, "-c", PROGRAM + JOIN, str(listener.getsockname()[1])])

    def kill(recorder: Recorder, left_s: float) -> None:
        if recorder.outcomes[Outcome.OK] > 100:
            victim.send_signal(signal.SIGKILL)

    try:
        with joining(listener, "here"):
            ready = Gathering(listener, TOKEN, 1, 2).ready(EngineSpec(payloads, [], peak_rps=800), run, os.environ)
            with ready as engine:
                engine.open(0, arm(url))
                with pytest.raises(MeasurementError, match="vanished in mid-run"):
                    engine.run([Stretch("load", 200, 60.0)], kill)
    finally:
        victim.kill()
        victim.wait()
    run.close()
    record = RunRecord(tmp_path / "run")
    (phase,) = record.phases
    table = record.samples().table
    assert np.array_equal(np.sort(table["seq"]), np.arange(phase.planned)), "each planned request has one record"
    lost = table[table["outcome"] == Outcome.UNSENT]
    assert len(lost) > 0
    assert len(set(lost["worker"])) == 1
    assert phase.duration_s < 60
    assert not np.any(lost["dispatched_ns"])
    result = judge(record)
    assert result.status is Status.INVALID
    assert not next(item for item in result.validity if item.code == "unsent").ok
    assert next(item for item in result.validity if item.code == "conservation").ok


def test_a_master_that_no_worker_comes_to_says_so_and_leaves_nothing(tmp_path: Path, url: str, payloads: str) -> None:
    port = pair_of_free_ports()
    words = ["--master", "--headless", "--expect-workers", "2", "--worker-patience", "0.5", "--time-limit", "3"]
    words += ["--master-port", str(port), "--target", url, "--payloads", payloads, "--out", str(tmp_path / "run")]
    command = [sys.executable, "-m", "proofload", "locust", *words]
    mark = {trees.MARKER: tmp_path.name}
    master = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, env=os.environ | mark)
    _, told = master.communicate(timeout=60)
    assert master.returncode == 3, told
    assert f"waiting for workers on 127.0.0.1:{port}, 2 in all, 0.5 s at most" in told
    assert "0 of 2 workers came" in told
    assert "next: start `proofload locust --worker" in told
    assert not (tmp_path / "run").exists()
    assert not trees.belonging([], tmp_path.name)


def pair_of_free_ports() -> int:
    """The lower one."""
    while True:
        port = free_ports(["locust"])["locust"]
        with suppress(OSError), socket.create_server(("127.0.0.1", port + 1)):
            return port


def test_who_has_another_token_is_sent_away_and_a_workers_error_is_the_masters(
    tmp_path: Path, url: str, payloads: str, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    run = RunFolder(claim(tmp_path / "run"), run_json(100, 1.0, 1))
    refused: list[MeasurementError] = []

    def first_as_a_stranger() -> None:
        try:
            serve_one_run("127.0.0.1", listener.getsockname()[1], token="another", run=1, cores=[None])
        except MeasurementError as exc:
            refused.append(exc)
        serve_one_run("127.0.0.1", listener.getsockname()[1], token=TOKEN, run=1, cores=[None])

    thread = threading.Thread(target=first_as_a_stranger)
    thread.start()
    try:
        with Gathering(listener, TOKEN, 1, 1).ready(EngineSpec(payloads, []), run, os.environ) as engine:
            with pytest.raises(InputError, match=r"worker 0 \(.*NO_SUCH_SECRET is not set"):
                engine.open(0, arm(url, headers={"X-Key": "env:NO_SUCH_SECRET"}))
            engine.open(0, arm(url))
    finally:
        listener.close()
        thread.join()
    run.close()
    (error,) = refused
    assert "its token is another one" in error.what
