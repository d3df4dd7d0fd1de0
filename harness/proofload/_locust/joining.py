"""The master's lab takes workers in: each connects, says who it is, and becomes a source of samples."""

from __future__ import annotations

import hmac
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic, monotonic_ns
from typing import Any

from proofload._locust.channel import Channel
from proofload._locust.remote import Part, RemoteSource
from proofload._locust.worker import VERSION
from proofload.clock import HostClock
from proofload.engine.client import Engine, EngineSpec
from proofload.engine.recorder import Recorder
from proofload.errors import InputError, MeasurementError
from proofload.records import Event
from proofload.store.folder import Recording
from proofload.workloads.payloads import load_payloads

_JOIN_PATIENCE_S = 30.0
_HELLO_PATIENCE_S = 5.0
_CHUNK_BYTES = 4 << 20
_MOST_ENGINES = 255
"""A sample's `worker` is one byte."""


@dataclass(frozen=True, slots=True)
class Gathering:
    """The workers of one run, to come."""

    listener: socket.socket
    token: str
    run: int
    workers: int

    @contextmanager
    def ready(self, spec: EngineSpec, folder: Recording, environment: Mapping[str, str]) -> Iterator[Engine]:  # noqa: ARG002
        """See `proofload.engine.client.Engines`. Raises MeasurementError when not all of them come."""
        recorder = Recorder(folder)
        channels: list[Channel] = []
        try:
            joined = list(self._joined(channels))
            of = sum(hello["engines"] for _, hello in joined)
            if of > _MOST_ENGINES:
                raise InputError(f"{of} engine processes are too many", remedy=f"at most {_MOST_ENGINES} drive one run")
            everywhere = replace(spec, cores=[None] * of, of=of)
            payloads, first = len(load_payloads(spec.payloads)), 0
            for number, (channel, hello) in enumerate(joined):
                part = Part(first, hello["engines"], of, payloads)
                _hand_over(channel, replace(everywhere, first=first))
                recorder.attach(_source(number, channel, hello, part))
                first += part.count
                folder.add_event(Event(monotonic_ns(), "worker", {"worker": number, **_described(hello, part)}))
            recorder.start()
            yield Engine(folder, recorder, everywhere)
        finally:
            recorder.stop()
            for channel in channels:
                channel.close()

    def _joined(self, channels: list[Channel]) -> Iterator[tuple[Channel, dict[str, Any]]]:
        until = monotonic() + _JOIN_PATIENCE_S
        came = 0
        while came < self.workers:
            self.listener.settimeout(max(0.01, until - monotonic()))
            try:
                connection, _ = self.listener.accept()
            except OSError as exc:
                raise MeasurementError(
                    f"{came} of {self.workers} workers came to the run within {_JOIN_PATIENCE_S:g} s",
                    evidence=str(exc),
                    cause="a worker is connected to Locust, but cannot reach the port above Locust's on this host",
                    remedy="let workers reach both ports (--bind), or see what a worker says on its own terminal",
                ) from exc
            hello = self._hello(connection)
            if hello is not None:
                came += 1
                channels.append(hello[0])
                yield hello

    def _hello(self, connection: socket.socket) -> tuple[Channel, dict[str, Any]] | None:
        """Who it is; None for one that is not of this run, which is told so and sent away."""
        connection.settimeout(_HELLO_PATIENCE_S)
        channel = Channel(connection)
        said = channel.receive()
        why = "it says nothing" if said is None else self._objection(said.message)
        if said is None or why:
            with_reason = {"do": "refused", "why": f"the master did not take this worker in: {why}"}
            try:
                channel.send(with_reason)
            except OSError:
                pass
            finally:
                channel.close()
            return None
        connection.settimeout(None)
        return channel, said.message

    def _objection(self, hello: Mapping[str, Any]) -> str:
        if not hmac.compare_digest(str(hello.get("token")), self.token):
            return "its token is another one"
        if hello.get("version") != VERSION:
            return f"it speaks version {hello.get('version')}, this is {VERSION}"
        engines = hello.get("engines")
        if hello.get("run") != self.run or not isinstance(engines, int) or engines < 1:
            return "it comes for another run"
        return ""


def _source(number: int, channel: Channel, hello: Mapping[str, Any], part: Part) -> RemoteSource:
    return RemoteSource(
        number,
        channel,
        who=f"worker {number} ({hello['hostname']}, process {hello['pid']})",
        part=part,
        same_clock=hello["host_id"] == HostClock.here().host_id,
    )


def _described(hello: Mapping[str, Any], part: Part) -> dict[str, Any]:
    kept = {key: hello[key] for key in ("hostname", "host_id", "pid")}
    return {**kept, "engines": [part.first, part.first + part.count - 1]}


def _hand_over(channel: Channel, spec: EngineSpec) -> None:
    """The payloads, piece by piece, and what to be. No secret is among it: see `ArmSpec.headers`."""
    with Path(spec.payloads).open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            channel.send({"do": "payloads"}, piece)
    plain = asdict(replace(spec, retry=None, payloads="", cores=()))
    plain["retry"] = None if spec.retry is None else spec.retry.model_dump()
    channel.send({"do": "begin", "spec": plain})
