"""What an experiment needs beside the server that it measures, for its own time: a Redis, a store of models."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from proofload.errors import Unavailable
from proofload.runtimes._ports import free_ports

WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Companion:
    """A process that listens on a port of 127.0.0.1."""

    port: int
    pid: int


@contextmanager
def redis_or_none() -> Iterator[Companion | None]:
    """A Redis that keeps nothing on disk; None where redis-server is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    remedy = "try `redis-server --port 0` by hand, or take it off the path: then the cache is in memory"
    flags = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with _running("redis-server", lambda port: [program, "--port", str(port), *flags], remedy) as redis:
        yield redis


@contextmanager
def store(folder: Path) -> Iterator[str]:
    """The address of a folder over HTTP."""
    flags = ["--bind", "127.0.0.1", "--directory", str(folder)]
    with _running("http.server", lambda port: [sys.executable, "-m", "http.server", str(port), *flags], "") as server:
        yield f"http://127.0.0.1:{server.port}"


@contextmanager
def _running(name: str, command: Callable[[int], Sequence[str]], remedy: str) -> Iterator[Companion]:
    """It, on a free port. Raises Unavailable when it does not come up."""
    port = free_ports([name])[name]
    process = subprocess.Popen(command(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if not _came_up(process, port):
            raise Unavailable(
                f"{name} did not come up", evidence=f"port {port}, exit status {process.poll()}", remedy=remedy
            )
        yield Companion(port, process.pid)
    finally:
        process.terminate()
        process.wait()


def _came_up(process: subprocess.Popen[bytes], port: int) -> bool:
    give_up = time.monotonic() + WAIT_S
    while time.monotonic() < give_up and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return True
        time.sleep(0.02)
    return False
