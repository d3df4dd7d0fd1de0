"""Containers of the servers' image, started as they are meant to be run: with nothing that they do not need."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import docker
import httpx
import pytest

WAIT_S = 90.0
NS_PER_S = 1_000_000_000
HARDENED: dict[str, Any] = {
    "read_only": True,
    "tmpfs": {"/tmp": ""},
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
}
END = "::end"
OFTEN = {"interval": NS_PER_S // 2}
"""The image's own health check, only more often."""


@dataclass(frozen=True, slots=True)
class Started:
    """A container that was started."""

    container: Any

    def url(self, port: int = 8000) -> str:
        """Where its `port` is published."""
        self.container.reload()
        (binding,) = self.container.attrs["NetworkSettings"]["Ports"][f"{port}/tcp"]
        return f"http://127.0.0.1:{binding['HostPort']}"

    def reading(self, *command: str) -> str:
        """What a command inside it writes that changes nothing and has to succeed.

        An engine was seen to lose the output of a command that ends at once; so it is asked to say where it ends.
        """
        for _ in range(5):
            code, output = self.container.exec_run(["sh", "-c", f'"$@" && printf {END}', "sh", *command])
            text = str(output.decode())
            assert code == 0, text
            if text.endswith(END):
                return text.removesuffix(END)
        pytest.fail(f"what {' '.join(command)} writes is lost every time")

    def state(self) -> dict[str, Any]:
        self.container.reload()
        found: dict[str, Any] = self.container.attrs["State"]
        return found

    def await_health(self, wanted: str, *, because: str = "") -> None:
        """Until its health is `wanted` ("starting", "healthy", "unhealthy") and the last check printed `because`."""

        def has_it() -> bool:
            health = self.state()["Health"]
            said = health["Log"][-1]["Output"] if health["Log"] else ""
            return bool(health["Status"] == wanted and because in said)

        self.until(has_it, f"it is never {wanted} {because}".rstrip())

    def stopped(self) -> int:
        """The exit code after a stop that leaves it ample time; 137 if that was not enough."""
        self.container.stop(timeout=30)
        return int(self.state()["ExitCode"])

    def until(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Waits, and fails with all that is known when the condition does not come."""
        give_up = time.monotonic() + WAIT_S
        while not condition():
            if time.monotonic() > give_up:
                pytest.fail(f"{otherwise}: {json.dumps(self.state(), indent=1)}\n{self.log()}")
            time.sleep(0.05)

    def log(self) -> str:
        return str(self.container.logs().decode())


Start = Callable[..., AbstractContextManager[Started]]
Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="session")
def start(container_engine: docker.DockerClient, servers_image: str) -> Start:
    """`start("fastapi_app", "--model", "scorer", environment={…})`: hardened, its ports published, removed at the end.

    Without a server, the image's own command.
    """

    @contextmanager
    def starting(server: str | None = None, *flags: str, **options: Any) -> Iterator[Started]:
        asked: dict[str, Any] = {"healthcheck": OFTEN, **HARDENED, **options}
        if asked.get("network_mode") != "host":
            asked["ports"] = {"8000/tcp": ("127.0.0.1", None), "9100/tcp": ("127.0.0.1", None)}
        command = None if server is None else [f"proofload_servers.{server}", *flags]
        container = container_engine.containers.create(servers_image, command, **asked)
        try:
            container.start()
            yield Started(container)
        finally:
            container.remove(force=True, v=True)

    return starting


@pytest.fixture(scope="session")
def ask() -> Ask:
    """One request, by a client that looks at no proxy settings."""

    def asking(url: str, body: Any = None) -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=30) as client:
            return client.get(url) if body is None else client.post(url, json=body)

    return asking
