"""The process that Locust runs in, as the lab sees it: started, listened to, told, ended."""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from proofload._locust.channel import Channel
from proofload._locust.form import Page
from proofload.errors import MeasurementError, ProofloadError, Unavailable
from proofload.watchdog import Watchdog

_END_PATIENCE_S = 10.0


class LocustProcess:
    """`calls`: what it asks of the lab, in order; None when it is gone."""

    def __init__(self, process: subprocess.Popen[bytes], control: Channel, users: Channel, log: Path) -> None:
        self.calls: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.stopped = 0
        """The number of the run that somebody pressed Stop in last."""
        self.busy = False
        """Whether a run is under way."""
        self.users = users
        """The way to its gevent users, which are an engine to the lab."""
        self._process = process
        self._control = control
        self._log = log
        threading.Thread(target=self._listen, name="locust", daemon=True).start()

    def ready(self) -> str:
        """Waits until it is; the page's URL, empty without one. Raises what kept it from being so."""
        call = self.calls.get()
        if call is None:
            raise self.loss()
        return str(call["url"])

    def tell(self, do: str, **detail: Any) -> None:
        """Nothing happens when it is gone: `calls` says so."""
        with suppress(OSError):
            self._control.send({"do": do, **detail})

    def loss(self) -> ProofloadError:
        """What to say when it has ended by itself."""
        end = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
        if "No module named 'locust'" in end or "No module named 'gevent'" in end:
            return Unavailable(
                "Locust is not installed here", evidence=end.splitlines()[-1], remedy="pip install 'proofload[locust]'"
            )
        return MeasurementError(
            "the Locust process ended by itself",
            evidence=end or f"exit status {self._process.poll()}",
            cause="its port is taken, the master cannot be reached, or it met a defect",
            remedy="name another --port, or look at what it said",
        )

    def _listen(self) -> None:
        while (said := self._control.receive()) is not None:
            if said.message["event"] == "stop":
                self.stopped = said.message["run"]
            else:
                self.calls.put(said.message)
        self.calls.put(None)

    def end(self) -> None:
        self.tell("quit")
        try:
            self._process.wait(_END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._control.close()
        self.users.close()


@contextmanager
def locust_process(page: Page, log: Path) -> Iterator[LocustProcess]:
    """One that ends with the block, or with the lab."""
    ours, theirs = socket.socketpair()
    users, their_users = socket.socketpair()
    with Watchdog() as watchdog, theirs, their_users, log.open("wb") as said:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "proofload.locust_adapter"),
                *(orjson.dumps(asdict(page)).decode(), str(theirs.fileno()), str(their_users.fileno())),
            ],
            pass_fds=(theirs.fileno(), their_users.fileno()),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=_environment(watchdog.environment),
            start_new_session=True,  # Ctrl-C is the lab's to handle
        )
        watchdog.adopt(process)
        theirs.close()
        their_users.close()
        running = LocustProcess(process, Channel(ours), Channel(users), log)
        try:
            yield running
        finally:
            running.end()


def _environment(markers: Mapping[str, str]) -> dict[str, str]:
    """Without Locust's own settings: the page asks what we ask."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    return {**inherited, **markers}
