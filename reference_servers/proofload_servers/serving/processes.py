"""Several worker processes behind one listening socket, for servers that bring no process manager of their own.

Each worker is the same program with --workers 1 and the socket inherited; the kernel hands each connection to one of
them. SIGTERM and SIGINT are passed on and the parent waits for all. A worker that dies is replaced, unless it said
with exit 2 that it cannot serve: then all end.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from types import FrameType

from .listener import INHERITED

LOG = logging.getLogger("proofload_servers.processes")
CANNOT_SERVE = 2
TICK_S = 0.1


def run_workers(module: str, argv: Sequence[str], count: int, sock: socket.socket, *, drain_s: float) -> int:
    """Runs `count` workers of `python -m module argv` until told to stop. The exit code of the whole."""
    family = _Family(module, argv, sock)
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    workers = [family.start() for _ in range(count)]
    code = 0
    try:
        while not stopping:
            time.sleep(TICK_S)
            for place, worker in enumerate(workers):
                ended = worker.poll()
                if ended == CANNOT_SERVE:
                    code, stopping = CANNOT_SERVE, True
                elif ended is not None:
                    LOG.error("worker %d ended with %s; starting another", worker.pid, ended)
                    family.buried(worker.pid)
                    workers[place] = family.start()
    finally:
        family.stop(workers, drain_s)
    return code


class _Family:
    """How workers are started, ended and, for the metrics they share a folder for, forgotten."""

    def __init__(self, module: str, argv: Sequence[str], sock: socket.socket) -> None:
        self._fd = sock.fileno()
        self._metrics = tempfile.mkdtemp(prefix="proofload-metrics-")
        self._command = [sys.executable, "-m", module, *argv, "--workers", "1"]
        self._env = os.environ | {INHERITED: str(self._fd), "PROMETHEUS_MULTIPROC_DIR": self._metrics}

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, env=self._env, pass_fds=[self._fd])

    def buried(self, pid: int) -> None:
        """Gauges of a dead worker no longer count."""
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid, self._metrics)  # type: ignore[no-untyped-call]

    def stop(self, workers: Sequence[subprocess.Popen[bytes]], drain_s: float) -> None:
        for worker in workers:
            worker.terminate()
        give_up = time.monotonic() + drain_s + 5.0
        for worker in workers:
            try:
                worker.wait(max(0.1, give_up - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        shutil.rmtree(self._metrics, ignore_errors=True)
