"""A model of a few hundred bytes whose answers are easy to know, and servers started over it."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from proofload_servers.serving import Service, Settings

WIDTH = 4


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
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def built_models() -> Path:
    """The checkout's own models; made when they are not there yet."""
    fixtures = Path(__file__).resolve().parents[2] / "fixtures"
    subprocess.run([sys.executable, str(fixtures / "make_fixtures.py")], check=True, stdout=subprocess.DEVNULL)
    return fixtures / "build"
