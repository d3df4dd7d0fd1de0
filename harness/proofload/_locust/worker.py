"""A worker's lab: engine processes of its own under the orders of a master, their samples shipped to it.

To the master it is one engine: it takes the orders that an engine process takes (see `proofload.engine.worker`) and
answers in the same words. Samples go as packed segments, a few seconds of them each; when the master is slow to take
them the connection fills, sending falls behind here, and the send lag tells.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload._locust.channel import Channel
from proofload._locust.locust_process import LocustProcess
from proofload._locust.remote import MOST_ROWS
from proofload.clock import NS_PER_MS, HostClock
from proofload.engine.client import EngineSpec, recording
from proofload.engine.recorder import Recorder
from proofload.errors import InputError, MeasurementError, ProofloadError
from proofload.records import Event
from proofload.scenarios import RetryTable
from proofload.store.segments import packed
from proofload.watchdog import Watchdog

VERSION = 1
"""Of what master and worker say to each other."""
_LEAD_NS = 100 * NS_PER_MS
_OPEN_PATIENCE_S = 60.0
_CONNECT_PATIENCE_S = 30.0


class Shipment:
    """Where this host's samples and events go: to the master. See `proofload.store.folder.Recording`."""

    def __init__(self, channel: Channel, path: Path) -> None:
        self.path = path
        self.logs = path / "logs"
        self.logs.mkdir()
        self._channel = channel

    def add_samples(self, rows: NDArray[np.void]) -> None:
        for first in range(0, len(rows), MOST_ROWS):
            self._ship({"event": "samples"}, packed(rows[first : first + MOST_ROWS]))

    def add_event(self, event: Event) -> None:
        self._ship({"event": event.kind, "t_ns": event.t_ns, **event.detail})

    def _ship(self, message: Mapping[str, Any], beside: bytes = b"") -> None:
        with suppress(OSError):  # the master is gone: whoever waits for its orders hears of that
            self._channel.send(message, beside)

    def flush_readings(self) -> None:
        """Nothing: the master's lab reads the target."""


def work(locust: LocustProcess, host: str, cores: Sequence[int | None], say: Callable[[str], None]) -> None:
    """Take part in each run of the master's, until it is gone."""
    while (call := locust.calls.get()) is not None:
        if call["event"] == "engage":
            say(f"run {call['run']}: sending")
            try:
                serve_one_run(host, call["port"], token=call["token"], run=call["run"], cores=cores)
            except ProofloadError as exc:
                say(f"error: {exc}")
            say(f"run {call['run']}: done")
    say("the master has ended")


def serve_one_run(host: str, port: int, *, token: str, run: int, cores: Sequence[int | None]) -> None:
    """Join the master's run, drive engine processes until it hangs up. Raises MeasurementError."""
    with _connected(host, port) as channel, tempfile.TemporaryDirectory(prefix="proofload-worker-") as folder:
        channel.send(
            {
                "event": "hello",
                "version": VERSION,
                "token": token,
                "run": run,
                "host_id": HostClock.here().host_id,
                "hostname": socket.gethostname(),
                "pid": os.getpid(),
                "engines": len(cores),
            }
        )
        job = _job(channel, Path(folder))
        if job is None:
            return
        shipment = Shipment(channel, Path(folder))
        with Watchdog() as watchdog:
            environment = {**os.environ, **watchdog.environment}
            with recording(replace(job, cores=cores), shipment, environment) as recorder:
                _Orders(channel, recorder).follow()


@contextmanager
def _connected(host: str, port: int) -> Iterator[Channel]:
    try:
        connection = socket.create_connection((host, port), timeout=_CONNECT_PATIENCE_S)
    except OSError as exc:
        raise MeasurementError(
            f"the master's lab cannot be reached at {host}:{port}",
            evidence=str(exc),
            cause="the master listens on 127.0.0.1 unless told otherwise, or a firewall is between",
            remedy="start the master with --bind ADDRESS, and let workers reach that port and the one above it",
        ) from exc
    connection.settimeout(None)
    channel = Channel(connection)
    try:
        yield channel
    finally:
        channel.close()


def _job(channel: Channel, folder: Path) -> EngineSpec | None:
    """What to be, and the payloads, written here. None when the master hung up, or has no use for this worker."""
    pool = folder / "payloads.jsonl"
    with pool.open("wb") as file:
        while (said := channel.receive()) is not None:
            match said.message["do"]:
                case "payloads":
                    file.write(said.beside)
                case "begin":
                    spec = dict(said.message["spec"])
                    retry = spec.pop("retry")
                    spec["forcing_header"] = tuple(spec["forcing_header"])
                    return EngineSpec(
                        **{**spec, "payloads": str(pool), "cores": ()},
                        retry=None if retry is None else RetryTable(**retry),
                    )
                case "refused":
                    raise MeasurementError(said.message["why"], remedy="use the same version on all hosts")
    return None


class _Orders:
    """One thread hears, another waits for what was ordered to end."""

    def __init__(self, channel: Channel, recorder: Recorder) -> None:
        self._channel = channel
        self._recorder = recorder
        self._ordered = threading.Event()
        self._hung_up = threading.Event()

    def follow(self) -> None:
        """Returns when the master hangs up."""
        waiter = threading.Thread(target=self._wait, name="waiter", daemon=True)
        waiter.start()
        try:
            while (said := self._channel.receive()) is not None:
                try:
                    self._obey(said.message)
                except ProofloadError as exc:
                    self._tell(exc)
        finally:
            self._hung_up.set()
            self._ordered.set()
            waiter.join()

    def _obey(self, message: Mapping[str, Any]) -> None:
        match message["do"]:
            case "open":
                self._recorder.opening()
                self._recorder.order(message)
                self._recorder.wait_opened(_OPEN_PATIENCE_S)
                self._channel.send({"event": "opened", "arm": message["arm"]})
            case "phases":
                if any(phase["capture"] for phase in message["phases"]):
                    raise InputError(
                        "answers are to be kept, and no worker brings them home",
                        remedy="run this scenario on one machine: proofload run",
                    )
                start_ns = message["start_ns"] or monotonic_ns() + _LEAD_NS
                self._channel.send({"event": "begun", "start_ns": start_ns})
                self._recorder.begin()
                self._recorder.order({**message, "start_ns": start_ns})
                self._ordered.set()
            case "split" | "cut":
                self._recorder.order(message)

    def _wait(self) -> None:
        while self._ordered.wait() and not self._hung_up.is_set():
            self._ordered.clear()
            with suppress(OSError):
                try:
                    while not self._recorder.wait_idle(1.0) and not self._hung_up.is_set():
                        pass
                    self._recorder.flush()
                    counts = {str(phase): count for phase, count in self._recorder.planned.items()}
                    self._channel.send({"event": "idle", "counts": counts})
                except ProofloadError as exc:
                    self._tell(exc)

    def _tell(self, exc: ProofloadError) -> None:
        with suppress(OSError):
            self._channel.send(
                {
                    "event": "failed",
                    "type": type(exc).__name__,
                    "what": exc.what,
                    "evidence": exc.evidence,
                    "cause": exc.cause,
                    "remedy": exc.remedy,
                }
            )
