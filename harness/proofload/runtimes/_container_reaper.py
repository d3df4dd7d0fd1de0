"""For a lab that is itself in a container: one beside it that outlives it, and removes what it leaves behind.

Killing that container kills the lab and its watchdog alike, and the containers that they started are no part of it.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import requests
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.types import LogConfig

from proofload._container_sweep import UP
from proofload.runtimes._container_engine import endpoint

REAPER_LABEL = "io.proofload.reaper"
_OWN = re.compile(r"containers/([0-9a-f]{64})/\S* /etc/(?:hostname|hosts|resolv\.conf) ")
"""In a list of mounts: files that Docker and Podman give to every container, from the folder that they keep for it."""
_PATIENCE_S = 20.0
_LOOK_EVERY_S = 0.05


@contextmanager
def outlived(client: docker.DockerClient, token: str) -> Iterator[Sequence[str]]:
    """While the block lasts, and where this process is in a container of the same engine: its reaper is up. Gives
    warnings: where it is not, why.

    The reaper is made of the lab's own image, sees what the lab's container mounts, to read it, and no network.
    """
    lab = _own_container(client)
    with ExitStack() as stack:
        problem = "" if lab is None else _up(client, lab, token, stack)
        yield [f"a lab that is killed with its container leaves others behind, for {problem}"] if problem else []


def own_id(mounts: str) -> str | None:
    """The container that a process with these mounts (/proc/PID/mountinfo) is in; None where it is in none."""
    found = _OWN.search(mounts)
    return None if found is None else found[1]


def _own_container(client: docker.DockerClient) -> Container | None:
    """The container this process is in; None where it is in none of this engine."""
    try:
        own = own_id(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
        return None if own is None else client.containers.get(own)
    except (OSError, NotFound):
        return None


def _up(client: docker.DockerClient, lab: Container, token: str, stack: ExitStack) -> str:
    """Start it. Empty once it has said that it waits, else why it does not."""
    if not _sees(endpoint(), lab.attrs["Mounts"]):
        return f"no mount of it has the engine's socket ({endpoint()}), which a reaper needs"
    said = ""
    try:
        reaper = _started(client, lab, token)
        stack.callback(_remove, reaper)
        patience = time.monotonic() + _PATIENCE_S
        while time.monotonic() < patience:
            said = reaper.logs().decode(errors="replace")
            if UP in said:
                return ""
            time.sleep(_LOOK_EVERY_S)
    except (DockerException, requests.RequestException) as exc:
        said = f"{said}{exc}"
    return f"its reaper did not come up: {said[-500:].strip() or 'it says nothing'}"


def _started(client: docker.DockerClient, lab: Container, token: str) -> Container:
    return client.containers.run(
        lab.attrs["Image"],
        ["-m", "proofload._container_sweep", endpoint(), lab.id, token],
        entrypoint=sys.executable,
        labels={REAPER_LABEL: token},
        log_config=LogConfig(type=LogConfig.types.JSON),
        volumes=list(_same_mounts(lab.attrs["Mounts"])),
        environment=_same_environment(lab),
        user=lab.attrs["Config"].get("User") or "",
        group_add=lab.attrs["HostConfig"].get("GroupAdd") or [],
        network_mode="none",
        read_only=True,
        auto_remove=True,
        detach=True,
    )


def _remove(reaper: Container) -> None:
    with suppress(APIError):  # it is gone, or about to be
        reaper.remove(force=True)


def _sees(address: str, mounts: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the engine's socket is a mount, or lies in one, by whatever links: /var/run is /run."""
    parts = urlsplit(address)
    socket = Path(parts.path).resolve()
    places = {socket, *socket.parents}
    return parts.scheme == "unix" and any(Path(one["Destination"]).resolve() in places for one in mounts)


def _same_mounts(mounts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the lab's container mounts: the socket is among it, its program may be. A socket can be spoken to all the
    same where it may only be read."""
    for one in mounts:
        if one["Type"] in {"bind", "volume"}:
            source = one["Name"] if one["Type"] == "volume" else one["Source"]
            yield f"{source}:{one['Destination']}:ro"


def _same_environment(lab: Container) -> list[str]:
    """Where Python finds what it needs."""
    return [entry for entry in lab.attrs["Config"].get("Env") or [] if entry.startswith(("PYTHON", "PATH="))]
