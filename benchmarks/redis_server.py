"""A Redis of our own, on 127.0.0.1 and in memory alone, for as long as a block lasts."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

MISSING = "redis-server is missing: apt-get install redis-server"


@dataclass(frozen=True, slots=True)
class Redis:
    """A running one."""

    port: int
    process: psutil.Process

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def emptied(self) -> None:
        import redis

        with redis.Redis(port=self.port) as client:
            client.flushall()

    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def redis_running(place: Path) -> Iterator[Redis | None]:
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    flags = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(place)]
    process = subprocess.Popen([program, *flags], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 30.0
        with socket.socket() as probe:
            while probe.connect_ex(("127.0.0.1", port)):
                if process.poll() is not None or time.monotonic() > until:
                    raise SystemExit("redis-server did not start")
                time.sleep(0.05)
        yield Redis(port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(10)
