"""One engine process: takes phases from the lab over a socket, writes samples into shared memory.

Started by client.py as `python -m proofload.engine`. Messages are JSON lines. The lab says
{"do": "open", …}, {"do": "phases", …}, {"do": "cut"}; this process answers with {"event": …}. When the
socket closes, it ends: an engine never outlives its lab.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvloop

from proofload.clock import NS_PER_S
from proofload.discovery import module_for
from proofload.engine.answers import NO_EXPECTATION, AnswerCheck
from proofload.engine.dispatcher import Dispatcher, timeline
from proofload.engine.health import SelfWatch
from proofload.engine.ledger import Ledger
from proofload.engine.ring import Ring
from proofload.engine.schedule import PhasePlan, share
from proofload.engine.timer import AbsoluteTimer
from proofload.errors import ProofloadError
from proofload.transports import Transport, TransportSpec
from proofload.workloads.payloads import load_payloads

_CUT_PATIENCE_S = 3.0
"""How long a phase that is cut waits for answers that are on their way."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What one engine process is told at its start. Plain data."""

    worker: int
    workers: int
    core: int | None
    ring_rows: int
    transport: str
    url: str
    payloads: str
    headers: Mapping[str, str]
    connections: int
    timeout_s: float
    deadline_s: float
    request: Mapping[str, Any] = field(default_factory=dict)
    response: Mapping[str, Any] = field(default_factory=dict)


def main(control_fd: int, ring_fd: int) -> None:
    """Serve the lab until it hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the lab's to handle: it cuts the phase
    with socket.socket(fileno=control_fd) as control:
        uvloop.run(_serve(control, ring_fd))


async def _serve(control: socket.socket, ring_fd: int) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=control, limit=64 * 1024 * 1024)
    worker: _Worker | None = None

    def say(event: str, **detail: Any) -> None:
        writer.write(orjson.dumps({"event": event, **detail}, default=str) + b"\n")

    try:
        while line := await reader.readline():
            message = orjson.loads(line)
            try:
                match message["do"]:
                    case "open":
                        worker = await _Worker.opened(WorkerSpec(**message["spec"]), ring_fd, say)
                        say("opened")
                    case "phases" if worker is not None:
                        worker.start(message["phases"], message["start_ns"])
                    case "cut" if worker is not None:
                        worker.cut()
            except ProofloadError as exc:
                say("failed", type=type(exc).__name__, what=exc.what, evidence=exc.evidence, cause=exc.cause,
                    remedy=exc.remedy)  # fmt: skip
    finally:
        if worker is not None:
            await worker.close()
        writer.close()


class _Worker:
    def __init__(self, spec: WorkerSpec, payloads: int, transport: Transport, ledger: Ledger, say: Any) -> None:
        self._spec = spec
        self._payloads = payloads
        self._transport = transport
        self._ledger = ledger
        self._say = say
        loop = asyncio.get_running_loop()
        self._dispatcher = Dispatcher(
            loop, lambda wake: AbsoluteTimer(loop, wake), ledger, transport, worker=spec.worker
        )
        self._watch = SelfWatch(loop, lambda readings: say("health", worker=spec.worker, **readings), spec.core)
        self._watch.start()

    @classmethod
    async def opened(cls, spec: WorkerSpec, ring_fd: int, say: Any) -> _Worker:
        if spec.core is not None:
            os.sched_setaffinity(0, {spec.core})
        payloads = load_payloads(spec.payloads)
        ring = Ring(ring_fd, spec.ring_rows)
        ledger = Ledger(
            ring,
            deadline_ns=round(spec.deadline_s * NS_PER_S),
            timeout_ns=round(spec.timeout_s * NS_PER_S),
            report=lambda event, detail: say(event, worker=spec.worker, t_ns=time.monotonic_ns(), **detail),
        )
        transport: Transport = module_for("transport", spec.transport).create(
            TransportSpec(
                name=spec.transport,
                url=spec.url,
                bodies=payloads.bodies,
                headers=spec.headers,
                connections=spec.connections,
                timeout_s=spec.timeout_s,
                request=spec.request,
                response=spec.response,
                worker=spec.worker,
            ),
            ledger,
        )
        ledger.check = AnswerCheck(
            transport.decode,
            [
                NO_EXPECTATION if absent else expect
                for expect, absent in zip(payloads.expects, payloads.unexpected, strict=True)
            ],
            prediction=spec.response.get("prediction") or "$.prediction",
            version=spec.response.get("version"),
            expected_version=spec.response.get("expected_version"),
            rtol=spec.response.get("rtol", 1e-4),
        )
        await transport.open()
        return cls(spec, len(payloads), transport, ledger, say)

    def start(self, phases: list[dict[str, Any]], start_ns: int) -> None:
        plans = [PhasePlan(**phase) for phase in phases]
        blocks = [
            (plan, share(plan, payloads=self._payloads, worker=self._spec.worker, workers=self._spec.workers))
            for plan in plans
        ]
        self._ledger.new_phase()
        self._dispatcher.start(timeline(blocks, start_ns), self._idle)

    def _idle(self) -> None:
        self._say("idle", worker=self._spec.worker, counts={str(k): v for k, v in self._dispatcher.counts.items()})

    def cut(self) -> None:
        self._dispatcher.cut(now_ns=time.monotonic_ns())
        asyncio.get_running_loop().call_later(_CUT_PATIENCE_S, self._dispatcher.end_the_rest)

    async def close(self) -> None:
        self._watch.stop()
        self._dispatcher.close()
        await self._transport.close()
