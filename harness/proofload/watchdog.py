"""The lab's side of its watchdog: whatever ends the lab, `kill -9` included, ends what it started.

    with Watchdog() as watchdog:
        process = subprocess.Popen(command, env={**os.environ, **watchdog.environment}, start_new_session=True)
        watchdog.adopt(process)
        ...
        watchdog.release(process.pid)

See _watchdog_program.py for the other side and _process_trees.py for what counts as started.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

import proofload
from proofload import _process_trees as trees
from proofload import _watchdog_program as program
from proofload.errors import MeasurementError

_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from proofload import _watchdog_program as p; "
_RUN = "sys.exit(p.main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))"
_PATIENCE_S = 15.0


def marked(environment: Mapping[str, str], token: str) -> dict[str, str]:
    """The marker variable with one token more than `environment` has: owners nest, each finds its own."""
    outer = environment.get(trees.MARKER, "")
    return {trees.MARKER: f"{outer}:{token}" if outer else token}


class Watchdog:
    """One watchdog process, for as long as the block lasts. Thread-safe.

    Leaving the block ends everything still adopted or marked, and waits for that.
    """

    def __init__(self, *, grace_s: float = 5.0) -> None:
        self.token = secrets.token_hex(8)
        self.left_behind = False
        """After the block: whether something the lab started was still there and had to be ended."""
        self._grace_s = grace_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What to add to the environment of everything the lab starts."""
        return marked(os.environ, self.token)

    @property
    def pid(self) -> int:
        """Process id of the watchdog itself."""
        return self._running().pid

    def __enter__(self) -> Self:
        root = str(Path(proofload.__file__).parent.parent)
        arguments = [root, str(os.getpid()), self.token, str(self._grace_s)]
        # -I -S: neither the user's environment nor site's start-up files may slow or break it.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOT + _RUN, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        return self

    def adopt(self, process: subprocess.Popen[bytes] | int) -> None:
        """End this process and its tree when the lab ends. One that has ended already is ignored.

        Raises MeasurementError when the watchdog is gone: without it nothing may be started.
        """
        who = trees.root(process if isinstance(process, int) else process.pid)
        if who is not None:
            self._tell(f"adopt {who.pid} {who.start_ticks}")

    def release(self, pid: int) -> None:
        """Forget a process: it was stopped, or is someone else's now."""
        with suppress(MeasurementError):
            self._tell(f"release {pid}")

    def adopt_folder(self, path: Path) -> None:
        """Remove this empty folder (a control group's) when the lab ends."""
        self._tell(f"folder {path}")

    def adopt_engine(self, endpoint: str) -> None:
        """Remove every container there that is labelled with `token` when the lab ends. See _container_sweep.py."""
        self._tell(f"engine {endpoint}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._running()
        with suppress(MeasurementError):
            self._tell("end")
        with suppress(OSError):
            cast("IO[bytes]", process.stdin).close()
        try:
            self.left_behind = process.wait(self._grace_s + _PATIENCE_S) != 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self.left_behind = True

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the watchdog was not entered")
        return self._process

    def _tell(self, line: str) -> None:
        pipe = cast("IO[bytes]", self._running().stdin)
        try:
            with self._lock:
                pipe.write(line.encode() + b"\n")
                pipe.flush()
        except (OSError, ValueError) as exc:
            status = self._running().poll()
            raise MeasurementError(
                "the watchdog process has ended, so servers could be left behind",
                evidence=f"exit status {status}, pid {self.pid}",
                cause="it was killed from outside, or crashed at its start"
                if status not in {program.LEFTOVERS, program.SURVIVORS}
                else "the lab is ending",
                remedy="run again; if it happens again, run `proofload doctor`",
            ) from exc
