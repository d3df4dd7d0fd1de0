"""What a run has to tell of the machine it ran on, so that two runs can be compared or not."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

import proofload
from proofload.accelerators import described

_LIBRARIES = (
    *("numpy", "scipy", "pyarrow", "uvloop", "orjson"),
    *("grpcio", "confluent-kafka", "onnxruntime", "onnxruntime-gpu"),
)


def environment() -> Mapping[str, Any]:
    """Host, cores, memory, limits and versions. Nothing that names a person or a path."""
    return {
        "proofload": proofload.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": sorted(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "open_files_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "local_ports": _first_line("/proc/sys/net/ipv4/ip_local_port_range").replace("\t", "-"),
        "clock_source": _first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "load_average_before": [round(value, 2) for value in os.getloadavg()],
        "accelerators": dict(described()),
        "libraries": {name: version for name in _LIBRARIES if (version := _version(name))},
    }


def _cpu_model() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
