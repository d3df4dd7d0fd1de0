"""For a lab that is itself in a container: one beside it that outlives it, and removes what it leaves behind.

Killing that container kills the lab and its watchdog alike, and the containers that they started are no part of it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
from docker.errors import NotFound

from proofload.runtimes._container_engine import endpoint, translated

REAPER_LABEL = "io.proofload.reaper"
_OWN = re.compile(r"/containers/([0-9a-f]{64})/")


@contextmanager
def outlived(client: docker.DockerClient, token: str) -> Iterator[None]:
    """While the block lasts, and where this process is in a container of the same engine: its reaper is up.

    The reaper is made of the lab's own image, sees the engine's socket, and no network.
    """
    lab = _own_container(client)
    if lab is None:
        yield
        return
    socket = endpoint().removeprefix("unix://")
    source = next(one["Source"] for one in lab.attrs["Mounts"] if one["Destination"] == socket)
    with translated("the reaper of this lab's containers"):
        reaper = client.containers.run(
            lab.attrs["Image"],
            ["-m", "proofload._container_sweep", endpoint(), lab.id, token],
            entrypoint=sys.executable,
            labels={REAPER_LABEL: token},
            volumes=[f"{source}:{socket}", *_same_folders(lab)],
            environment=_same_environment(lab),
            user=lab.attrs["Config"].get("User") or "",
            group_add=lab.attrs["HostConfig"].get("GroupAdd") or [],
            network_mode="none",
            read_only=True,
            auto_remove=True,
            detach=True,
        )
    try:
        yield
    finally:
        with suppress(NotFound):
            reaper.remove(force=True)


def _own_container(client: docker.DockerClient) -> docker.models.containers.Container | None:
    """The container this process is in; None where it is in none of this engine, or sees no socket of it."""
    if not endpoint().startswith("unix://"):
        return None
    try:
        found = _OWN.search(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
    except OSError:
        return None
    if found is None:
        return None
    try:
        container = client.containers.get(found[1])
    except NotFound:
        return None
    seen = {one["Destination"] for one in container.attrs["Mounts"]}
    return container if endpoint().removeprefix("unix://") in seen else None


def _same_folders(lab: docker.models.containers.Container) -> list[str]:
    """What the lab's container mounts, to be read: its program may be among it."""
    socket = endpoint().removeprefix("unix://")
    mounts = [one for one in lab.attrs["Mounts"] if one["Destination"] != socket and one["Type"] == "bind"]
    return [f"{one['Source']}:{one['Destination']}:ro" for one in mounts]


def _same_environment(lab: docker.models.containers.Container) -> list[str]:
    """Where Python finds what it needs."""
    return [entry for entry in lab.attrs["Config"].get("Env") or [] if entry.startswith(("PYTHON", "PATH="))]
