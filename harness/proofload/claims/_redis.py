"""A Redis of one's own for the time of an experiment."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from proofload.errors import Unavailable

WAIT_S = 10.0


@contextmanager
def redis_or_none() -> Iterator[str | None]:
    """Its address, on a free port of 127.0.0.1, nothing kept on disk; None where redis-server is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(process, port)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    give_up = time.monotonic() + WAIT_S
    while time.monotonic() < give_up and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.02)
    raise Unavailable(
        "redis-server did not come up",
        evidence=f"port {port}, exit status {process.poll()}",
        remedy="try `redis-server --port 0` by hand, or take it off the path: then the cache is in memory",
    )
