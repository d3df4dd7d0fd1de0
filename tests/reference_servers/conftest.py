"""A model of a few hundred bytes whose answers are easy to know, and servers started over it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from proofload.runtimes._ports import free_ports
from proofload_servers.serving import Service, Settings

WIDTH = 4
WAIT_S = 60.0
Program = tuple[subprocess.Popen[bytes], httpx.Client]
Condition = Callable[[], bool]


def write_tiny_model(folder: Path, version: str = "7") -> Path:
    """y = 1·x0 + 10·x1 + 100·x2 + 1000·x3."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = np.array([[1], [10], [100], [1000]], dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["values", "weights"], ["score"])],
        "tiny",
        [helper.make_tensor_value_info("values", TensorProto.FLOAT, ["n", WIDTH])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    card = {
        "name": "tiny",
        "version": version,
        "framework": "onnx",
        "kind": "vector",
        "input": {"name": "values"},
        "output": {"name": "score", "column": 0},
        "features": [{"name": f"x{i}", "type": "number"} for i in range(WIDTH)],
        "schema_sha256": "5c",
        "files": {"model.onnx": hashlib.sha256(content).hexdigest()},
    }
    (folder / "model.json").write_text(json.dumps(card))
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def service(tiny_model: Path) -> Iterator[Service]:
    running = Service.start(Settings(model=str(tiny_model), max_instances=8))
    running.wait_ready(30)
    yield running
    running.drain(5)


@pytest.fixture
def faulty(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Service]]:
    """`faulty("errors:share=1", max_queue=2)`: a service in this process, not waited for. Without a name: healthy."""
    monkeypatch.setenv("PROOFLOAD_ALLOW_FAULTS", "1")
    running: list[Service] = []

    def start(*faults: str, **settings: Any) -> Service:
        service = Service.start(Settings(**{"model": str(tiny_model), "fault": faults} | settings))
        running.append(service)
        return service

    yield start
    for service in running:
        service.drain(5)


@pytest.fixture(scope="session")
def until() -> Callable[[Condition], None]:
    """Polls what nothing announces, like a server's state from outside."""

    def wait(condition: Condition) -> None:
        give_up = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < give_up
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="session")
def new_port() -> Callable[[], int]:
    """A port that is free, and that no outgoing connection is given."""
    return lambda: free_ports(["it"])["it"]


@pytest.fixture
def free_port(new_port: Callable[[], int]) -> int:
    return new_port()


@pytest.fixture(scope="session")
def start_program(
    until: Callable[[Condition], None],
) -> Callable[[str, Sequence[str], int], AbstractContextManager[Program]]:
    """`start_program("flask_app", ["--model", …], port)`: the process and a client of its health port, once it is
    ready. It is ended with the block."""

    @contextlib.contextmanager
    def start(program: str, flags: Sequence[str], health_port: int) -> Iterator[Program]:
        process = subprocess.Popen(
            [sys.executable, "-m", f"proofload_servers.{program}", *flags], stdout=subprocess.DEVNULL
        )
        client = httpx.Client(base_url=f"http://127.0.0.1:{health_port}", timeout=WAIT_S)

        def ready() -> bool:
            assert process.poll() is None
            with contextlib.suppress(httpx.TransportError):
                return client.get("/health/ready").status_code == 200
            return False

        try:
            until(ready)
            yield process, client
        finally:
            client.close()
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    return start


@pytest.fixture(scope="session")
def built_models() -> Path:
    """The checkout's own models; made when they are not there yet."""
    fixtures = Path(__file__).resolve().parents[2] / "fixtures"
    subprocess.run([sys.executable, str(fixtures / "make_fixtures.py")], check=True, stdout=subprocess.DEVNULL)
    return fixtures / "build"
