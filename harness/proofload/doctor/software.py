"""Software: versions, every implementation of every extension point, and what serving needs."""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

from proofload import discovery
from proofload.doctor.findings import Finding, Grade

LIBRARIES = (
    "numpy", "scipy", "pandas", "pyarrow", "pydantic", "typer", "rich", "matplotlib", "orjson", "uvloop",
    "grpcio", "confluent-kafka", "flask", "fastapi", "onnx", "scikit-learn",
)  # fmt: skip


def python() -> Finding:
    says = f"{platform.python_version()} ({platform.python_implementation()}) in {sys.prefix}"
    return Finding("python", Grade.GOOD, says)


def libraries() -> Finding:
    found = {name: _version(name) for name in LIBRARIES}
    there = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    missing = [name for name, version in found.items() if not version]
    says = there + (f"; not installed: {', '.join(missing)}" if missing else "")
    return Finding("libraries", Grade.NOTE, says, "pip install 'proofload[servers]'" if missing else "")


def parts() -> Iterator[Finding]:
    """Every implementation of every extension point."""
    for kind in discovery.KINDS:
        found = discovery.implementations(kind)
        missing = [one for one in found.values() if one.module is None]
        there = ", ".join(one.name for one in found.values() if one.module is not None)
        if not found or not there:
            yield Finding(f"{kind}s", Grade.BROKEN, "none", "reinstall proofload: files are missing")
        else:
            yield Finding(f"{kind}s", Grade.GOOD, f"available: {there}")
        for one in missing:
            yield Finding(f"{kind} {one.name}", Grade.DOUBT, f"unavailable: {one.reason}", "install what it names")


def onnx_providers() -> Finding:
    if util.find_spec("onnxruntime") is None:
        remedy = "pip install 'proofload[servers]' (or [servers-gpu]); not needed for servers of your own"
        return Finding("ONNX Runtime", Grade.DOUBT, "unavailable: not installed", remedy)
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # looking must not send a report to its maker
    try:
        import onnxruntime

        names = {
            "CPUExecutionProvider": "cpu",
            "CUDAExecutionProvider": "cuda",
            "TensorrtExecutionProvider": "tensorrt",
        }
        built = [names[one] for one in onnxruntime.get_available_providers() if one in names]
    except Exception as exc:  # noqa: BLE001  a broken native library fails in many ways; this is where it is told
        return Finding("ONNX Runtime", Grade.DOUBT, f"unavailable: {type(exc).__name__}: {exc}", "reinstall it")
    says = f"{onnxruntime.__version__}; --device {', '.join(sorted(built))}"
    if "cuda" in built and not Path("/dev/nvidiactl").exists():
        says += " (no NVIDIA device here: only cpu will work)"
    return Finding("ONNX Runtime", Grade.GOOD, says)


def kafka_library() -> Finding:
    try:
        import confluent_kafka
    except ImportError as exc:
        return Finding("Kafka", Grade.DOUBT, f"unavailable: {exc}", "pip install confluent-kafka")
    return Finding("Kafka", Grade.GOOD, f"librdkafka {confluent_kafka.libversion()[0]}, with its embedded broker")


def docker_engine() -> Finding:
    """Asked through its socket: the command line tool and the Python library are optional."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        return Finding("docker", Grade.NOTE, f"DOCKER_HOST is {host}: not asked")
    try:
        version = _docker_version(host.removeprefix("unix://"))
    except (OSError, ValueError, KeyError, TypeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else f"{type(exc).__name__}: {exc}"
        return Finding("docker", Grade.NOTE, f"unavailable: {host}: {reason}; only --runtime container needs it")
    return Finding("docker", Grade.GOOD, f"engine {version}")


def fixtures() -> Finding:
    from proofload.resources import fixtures_dir

    home = fixtures_dir()
    built = sorted(path.parent.name for path in home.glob("*/model.json"))
    if not built:
        return Finding(
            "models", Grade.NOTE, f"none built yet in {home}", "built when needed, or now: proofload fixtures"
        )
    return Finding("models", Grade.GOOD, f"{', '.join(built)} in {home}")


def _docker_version(path: str) -> str:
    """HTTP/1.0 by hand: the answer ends with the connection, and nothing stays open when there is none."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(2.0)
        asking.connect(path)
        asking.sendall(b"GET /version HTTP/1.0\r\nHost: docker\r\n\r\n")
        answer = b"".join(iter(lambda: asking.recv(65536), b""))
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["Version"])


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
