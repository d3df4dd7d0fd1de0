"""Where the load of a run comes from behind Locust's page, and how its charts come to know of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic_ns, time_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload._locust.channel import Channel
from proofload._locust.charts import charted
from proofload._locust.locust_process import LocustProcess
from proofload._locust.remote import RemoteSource
from proofload.engine.client import Engine, EngineSpec
from proofload.engine.recorder import Recorder
from proofload.records import Event
from proofload.store.folder import Recording
from proofload.targets import Target

Ready = Callable[[EngineSpec, Recording, Mapping[str, str]], AbstractContextManager[Engine]]
"""See `proofload.engine.client.Engines.ready`."""


def gevent_users(channel: Channel, users: int) -> Ready:
    """The gevent users of the Locust process at the other end, as an engine."""

    @contextmanager
    def ready(spec: EngineSpec, folder: Recording, environment: Mapping[str, str]) -> Iterator[Engine]:  # noqa: ARG001
        told = {"payloads": spec.payloads, "timeout_s": spec.timeout_s, "users": users}
        told["deadline_s"] = min(spec.deadline_s or spec.timeout_s, spec.timeout_s)
        _begun(channel, {"do": "begin", "spec": told})
        recorder = Recorder(folder)
        recorder.attach(RemoteSource(0, channel, who="the Locust process", part=None, same_clock=True, lasting=True))
        try:
            recorder.start()
            yield Engine(folder, recorder, replace(spec, of=1))
        finally:
            recorder.stop()

    return ready


def _begun(channel: Channel, order: Mapping[str, Any]) -> None:
    """What it said before it heard this is of a run that was given up."""
    with suppress(OSError):  # it is gone: whoever listens to it next says so
        channel.send(order)
        while (said := channel.receive()) is not None and said.message["event"] != "began":
            pass


class Watched:
    """Passes samples on to a run folder, and tells Locust's charts of them."""

    def __init__(self, locust: LocustProcess, target: Target) -> None:
        self._locust = locust
        self._target = target

    def by(self, ready: Ready) -> Ready:
        """The same engines, watched."""

        @contextmanager
        def watched(spec: EngineSpec, folder: Recording, environment: Mapping[str, str]) -> Iterator[Engine]:
            with ready(spec, _Seen(folder, self._show), environment) as engine:
                yield engine

        return watched

    def _show(self, rows: NDArray[np.void]) -> None:
        wall_offset_ns = time_ns() - monotonic_ns()
        counts = charted(rows, name=self._target.name, wall_offset_ns=wall_offset_ns)
        self._locust.tell("chart", transport=self._target.transport, counts=counts)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A recording, with a look at each segment. See `proofload.store.folder.Recording`."""

    folder: Recording
    show: Callable[[NDArray[np.void]], None]

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def logs(self) -> Path:
        return self.folder.logs

    def add_samples(self, rows: NDArray[np.void]) -> None:
        self.folder.add_samples(rows)
        if len(rows):
            self.show(rows)

    def add_event(self, event: Event) -> None:
        self.folder.add_event(event)

    def flush_readings(self) -> None:
        self.folder.flush_readings()
