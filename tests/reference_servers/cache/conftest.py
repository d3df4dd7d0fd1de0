"""A Redis of our own, a way to it that can be made bad, and services that use it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from proofload_servers.serving import Service, Settings

WAIT_S = 60.0
PATIENT_MS = 20_000.0
"""A budget that a busy machine does not use up: these tests are of what is answered, not of how fast."""


class RedisServer:
    """redis-server on a port of 127.0.0.1, holding everything in memory. `stop` and `start` at will."""

    def __init__(self, program: str, port: int, folder: Path) -> None:
        self._command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self.client = Redis(port=port)

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + WAIT_S
        while True:
            with contextlib.suppress(Exception):
                if self.client.ping():
                    return
            assert self._process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(WAIT_S)

    def close(self) -> None:
        self.client.close()
        self.kill()


@pytest.fixture(scope="module")
def redis_server(
    required_program: Callable[..., str], new_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    server = RedisServer(required_program("redis-server"), new_port(), tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.close()


@pytest.fixture
def redis(redis_server: RedisServer) -> RedisServer:
    """The same one for all tests of a file, empty for each."""
    redis_server.client.flushall()
    return redis_server


class BadWay:
    """Passes on what goes to and from a port, until told `answer`: from then on the peer's bytes are made by that.

    `answer(send, asked)` gets every request that comes, as bytes, and sends what it likes in place of the peer.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.asked = 0
        self.answer: Callable[[Callable[[bytes], None], bytes], None] | None = None
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._open += [near, far]
                threading.Thread(target=self._there, args=(near, far), daemon=True).start()
                threading.Thread(target=self._back, args=(near, far), daemon=True).start()

    def _there(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while asked := near.recv(65_536):
                self.asked += 1
                if self.answer is None:
                    far.sendall(asked)
                else:
                    self.answer(near.sendall, asked)

    @staticmethod
    def _back(near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while told := far.recv(65_536):
                near.sendall(told)

    def close(self) -> None:
        self._listener.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.fixture
def bad_way(redis: RedisServer) -> Iterator[BadWay]:
    way = BadWay(redis.port)
    yield way
    way.close()


class Served:
    """A service and short ways to ask it."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def ask(self, *values: float, **members: Any) -> Any:
        request = {"values": list(values), **members}
        return self.service.submit(request, deadline_ns=None, request_id="r").result(WAIT_S)

    def count(self, name: str) -> float:
        """The value of proofload_cache_NAME, or of its counter."""
        for line in self.service.metrics.render().decode().splitlines():
            if line.startswith((f"proofload_cache_{name} ", f"proofload_cache_{name}_total ")):
                return float(line.rpartition(" ")[2])
        raise KeyError(name)

    def counts(self, *names: str) -> tuple[float, ...]:
        return tuple(self.count(name) for name in names)


@pytest.fixture
def served(tiny_model: Path) -> Iterator[Callable[..., Served]]:
    """`served(cache=…)`: ready; drained with the test."""
    running: list[Service] = []

    def start(**settings: Any) -> Served:
        usual: dict[str, Any] = {"model": str(tiny_model), "cache_budget_ms": PATIENT_MS, "max_wait_ms": 0.0}
        service = Service.start(Settings(**usual | settings))
        running.append(service)
        service.wait_ready(WAIT_S)
        return Served(service)

    yield start
    for service in running:
        service.drain(WAIT_S)
