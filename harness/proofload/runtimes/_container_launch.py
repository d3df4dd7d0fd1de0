"""What the engine is asked to create for a target. Pure: from a filled target to the arguments of the request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from docker.types import DeviceRequest, LogConfig

from proofload._container_sweep import LABEL
from proofload.target_model import Container, Target

TARGET_LABEL = "io.proofload.target"
_TMP_MIB = 256
_LOG = {"max-size": "64m", "max-file": "2"}
"""What the engine keeps of a container's output; the run folder's copy is bounded apart from it."""
_NANO = 1_000_000_000


def inside_ports(container: Container, ports: Mapping[str, int]) -> dict[str, int]:
    """For each of {port} ("") and {port:NAME}: the port that the server listens on in its container."""
    own = {**container.ports, **({} if container.port is None else {"": container.port})}
    return {name: port if container.network == "host" else own.get(name, port) for name, port in ports.items()}


def creation(
    target: Target,
    *,
    ports: Mapping[str, int],
    environment: Mapping[str, str],
    cores: Sequence[int],
    device: str,
    token: str,
) -> dict[str, Any]:
    """Keyword arguments of the docker SDK's `containers.create` for a target whose placeholders are filled.

    `ports`: the free ports chosen on the host, by name. `cores`: what it is pinned to; empty: to none.
    """
    container = target.container
    assert container is not None  # the runtime refused it otherwise
    asked: dict[str, Any] = {
        "image": container.image,
        "command": list(container.command) or None,
        "environment": dict(environment),
        "labels": {LABEL: token, TARGET_LABEL: target.name},
        "log_config": LogConfig(type=LogConfig.types.JSON, config=_LOG),
        "detach": True,
        "healthcheck": {"test": ["NONE"]},  # the lab asks for itself; the engine's asking would use the target's share
        "volumes": _volumes(target.folder, container.volumes),
    }
    if container.network == "host":
        asked["network_mode"] = "host"
    else:
        inside = inside_ports(container, ports)
        asked["ports"] = {f"{inside[name]}/tcp": ("127.0.0.1", port) for name, port in ports.items()}
    if target.limits.cpus is not None:
        asked["nano_cpus"] = round(target.limits.cpus * _NANO)
    if target.limits.memory_mib is not None:
        asked["mem_limit"] = asked["memswap_limit"] = f"{target.limits.memory_mib}m"  # swap would hide what it needs
    if cores:
        asked["cpuset_cpus"] = ",".join(map(str, cores))
    if container.hardened:
        asked |= {
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "tmpfs": {"/tmp": f"rw,nosuid,nodev,size={_TMP_MIB}m,mode=1777"},  # noqa: S108  the container's own
        }
    if device != "cpu":
        asked["device_requests"] = [DeviceRequest(count=-1, capabilities=[["gpu"]])]
    return asked


def _volumes(folder: Path, wanted: Mapping[str, str]) -> list[str]:
    """As `docker run -v` takes them; a source without a slash is a volume's name."""
    found = []
    for inside, source in wanted.items():
        place, mode = (source[:-3], source[-2:]) if source.endswith((":ro", ":rw")) else (source, "rw")
        where = str((folder / place).resolve()) if "/" in place else place
        found.append(f"{where}:{inside}:{mode}")
    return found
