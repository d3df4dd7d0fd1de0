"""When a lab is in a container, and what becomes of its reaper, as a made-up engine tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from docker.errors import NotFound

from proofload._container_sweep import UP
from proofload.runtimes import _container_reaper as reaper

ID = "1abf12e815617da5e29be6e575457f3fe8541f9f82c398d9426215131671b32c"
DOCKER = f"812 790 8:1 /var/lib/docker/containers/{ID}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/sda1 rw\n"
PODMAN = (
    f"900 880 0:25 /containers/overlay-containers/{ID}/userdata/hostname /etc/hostname rw,nosuid - tmpfs tmpfs rw\n"
    f"901 880 8:1 /var/lib/containers/storage/overlay-containers/{ID}/userdata/hosts /etc/hosts rw - xfs x\n"
)
HOST = f"133 30 0:49 / /var/lib/docker/containers/{ID}/mounts/shm rw,nosuid - tmpfs shm rw,size=65536k\n"


@pytest.mark.parametrize(
    ("mounts", "expected"), [(DOCKER, ID), (PODMAN, ID), (HOST, None), ("", None)], ids=["Docker", "Podman", "host", ""]
)
def test_a_process_knows_its_own_container_and_not_those_of_its_host(mounts: str, expected: str | None) -> None:
    assert reaper.own_id(mounts) == expected


class Engine:
    """The lab's container, the reaper and their client, all in one."""

    def __init__(self, mounts: list[dict[str, str]], says: str = "") -> None:
        self.containers, self.id = self, ID
        self.attrs = {"Image": "lab", "Mounts": mounts, "Config": {"Env": ["PATH=/bin", "KEY=1"]}, "HostConfig": {}}
        self.says = says
        self.asked: dict[str, Any] = {}
        self.removed = False

    def get(self, _: str) -> Engine:
        return self

    def run(self, *_: Any, **asked: Any) -> Engine:
        self.asked = asked
        return self

    def logs(self) -> bytes:
        if not self.says:
            raise NotFound("it has ended and was removed")
        return f"{self.says}\n".encode()

    def remove(self, **_: Any) -> None:
        self.removed = True


@pytest.fixture
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An engine's socket under two names, as in /var/run and /run. This process is in a container, it seems."""
    (tmp_path / "run").mkdir()
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "run").symlink_to(tmp_path / "run")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/var/run/docker.sock")
    monkeypatch.setattr(reaper, "own_id", lambda mounts: ID)
    return tmp_path / "run" / "docker.sock"


def warnings(engine: Any) -> list[str]:
    with reaper.outlived(engine, "token") as found:
        return list(found)


def test_a_reaper_has_the_labs_mounts_by_whatever_name_the_socket_goes(socket: Path) -> None:
    mounts = [
        {"Type": "bind", "Source": "/run/docker.sock", "Destination": str(socket)},
        {"Type": "volume", "Name": "environment", "Source": "/var/lib/docker/volumes/…", "Destination": "/venv"},
        {"Type": "tmpfs", "Source": "", "Destination": "/tmp"},
    ]
    engine = Engine(mounts, UP)
    assert warnings(engine) == []
    assert engine.asked["volumes"] == [f"/run/docker.sock:{socket}:ro", "environment:/venv:ro"]
    assert engine.asked["environment"] == ["PATH=/bin"]
    assert engine.removed


def test_a_folder_with_the_socket_in_it_will_do(socket: Path) -> None:
    assert warnings(Engine([{"Type": "bind", "Source": "/run", "Destination": str(socket.parent)}], UP)) == []


def test_without_the_socket_there_is_none_and_that_is_said(socket: Path) -> None:
    engine = Engine([{"Type": "bind", "Source": "/data", "Destination": "/data"}], UP)
    [told] = warnings(engine)
    assert "leaves others behind" in told
    assert "socket" in told
    assert not engine.asked


def test_one_that_ends_at_once_is_told_with_its_last_words(socket: Path) -> None:
    mounts = [{"Type": "bind", "Source": "/run/docker.sock", "Destination": str(socket)}]
    [told] = warnings(Engine(mounts))
    assert "did not come up" in told
    assert "it has ended and was removed" in told
