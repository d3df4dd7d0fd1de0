"""Where samples come from: what the recorder asks of an engine, and the one that runs as a process of this host.

Another is a worker on another machine (`proofload._locust.remote`): it takes the same orders, says the same words.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from proofload.engine.ring import Ring
from proofload.errors import MeasurementError


class Source(Protocol):
    """Takes orders, says what happens, gives samples. Used by one thread at a time, but for `order`."""

    @property
    def number(self) -> int:
        """Its place among the sources of a run, from 0."""

    def fileno(self) -> int:
        """Readable when there is something to hear."""

    def order(self, message: Mapping[str, Any]) -> None:
        """Raises OSError when it is gone."""

    def hear(self) -> list[dict[str, Any]] | None:
        """What it said since the last call, without waiting; None: it has hung up."""

    def drain(self) -> NDArray[np.void]:
        """The samples that became final since the last call, each once. Texts bear the numbers of `names`."""

    def names(self) -> list[tuple[str, str]]:
        """All texts (kind, text) so far, in order of their numbers from 1."""

    def write_off(self, ended_ns: int) -> Mapping[str, int] | None:
        """It is gone: `drain` gives what was due until then and has no sample, as unsent. The requests it had planned,
        by phase; None where its plan went with it."""

    def loss(self, logs: Path) -> MeasurementError:
        """What to say of its being gone."""

    def close(self) -> None:
        """Hang up."""


class ProcessSource:
    """An engine process of this host: JSON lines over a socket, samples in shared memory."""

    def __init__(self, number: int, process: subprocess.Popen[bytes], control: socket.socket, ring: Ring) -> None:
        self.number = number
        self._process = process
        self._control = control
        self._ring = ring
        self._received = b""

    def fileno(self) -> int:
        return self._control.fileno()

    def order(self, message: Mapping[str, Any]) -> None:
        self._control.sendall(orjson.dumps(message, default=str) + b"\n")

    def hear(self) -> list[dict[str, Any]] | None:
        try:
            data = self._control.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        *lines, self._received = (self._received + data).split(b"\n")
        return [orjson.loads(line) for line in lines]

    def drain(self) -> NDArray[np.void]:
        return self._ring.drain()

    def names(self) -> list[tuple[str, str]]:
        return self._ring.names()

    def write_off(self, ended_ns: int) -> Mapping[str, int] | None:  # noqa: ARG002  see Source
        return None

    def loss(self, logs: Path) -> MeasurementError:
        log = logs / f"engine-{self.number}.log"
        try:
            end = log.read_text(encoding="utf-8", errors="replace")[-1500:]
        except OSError:
            end = ""
        return MeasurementError(
            f"engine process {self.number} ended in mid-run",
            evidence=end or f"exit status {self._process.poll()}",
            cause="it was killed (out of memory?) or met a defect in proofload",
            remedy=f"look at {log}; what was recorded until then is kept",
        )

    def close(self) -> None:
        self._control.close()
        self._ring.close()
