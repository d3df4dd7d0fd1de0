"""An nginx of the lab's own: started with a configuration, answering, ended."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from proofload.errors import DriverError, Unavailable
from proofload.watchdog import Watchdog

_ELSEWHERE = ("/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/bin/nginx")
_START_S = 15.0
_END_S = 10.0


def program() -> str:
    """The nginx of this machine. Raises Unavailable."""
    found = shutil.which("nginx") or next((path for path in _ELSEWHERE if os.access(path, os.X_OK)), None)
    if found is None:
        raise Unavailable("the driver nginx needs nginx, which is not installed", remedy="apt-get install nginx-light")
    return found


class Nginx:
    """A running one. `folder` holds its configuration and its log."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, port: int) -> None:
        self._process = process
        self._folder = folder
        self._port = port

    def check_alive(self) -> None:
        """Raises DriverError, with the end of its log, when it ended."""
        if self._process.poll() is not None:
            raise self.failed(f"nginx ended with status {self._process.returncode}")

    def failed(self, what: str) -> DriverError:
        log = self._folder / "error.log"
        with suppress(OSError):
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
            return DriverError(
                what,
                evidence="\n".join([f"the end of {log}:", *tail]) if tail else f"its log is empty ({log})",
                remedy=f"try its configuration by hand: nginx -t -p {self._folder} -c {self._folder}/nginx.conf",
            )
        return DriverError(what, evidence=f"it wrote no log ({log})")

    def wait_until_it_listens(self) -> None:
        patience = time.monotonic() + _START_S
        while True:
            self.check_alive()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            if time.monotonic() > patience:
                raise self.failed(f"nginx does not listen after {_START_S:.0f} s")
            time.sleep(0.02)

    def end(self) -> None:
        """Answers what it has, then ends."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGQUIT)  # its graceful end
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running(configuration: str, folder: Path, port: int, watchdog: Watchdog) -> Iterator[Nginx]:
    """nginx with this configuration, as long as the block lasts. Raises Unavailable or DriverError."""
    file = folder / "nginx.conf"
    file.write_text(configuration, encoding="utf-8")
    command = [program(), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(file)]
    process = subprocess.Popen(
        command,
        env={**os.environ, **watchdog.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    nginx = Nginx(process, folder, port)
    try:
        watchdog.adopt(process)
        nginx.wait_until_it_listens()
        yield nginx
    finally:
        nginx.end()
        watchdog.release(process.pid)
