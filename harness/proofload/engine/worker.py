"""One engine process: takes phases from the lab over a socket, writes samples into shared memory.

Started by client.py as `python -m proofload.engine`. Messages are JSON lines. The lab says
{"do": "begin", …}, {"do": "open", …}, {"do": "phases", …}, {"do": "split", …}, {"do": "cut", …}; this process
answers with {"event": …}. When the
socket closes, it ends: an engine never outlives its lab.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import uvloop

from proofload.clock import NS_PER_S
from proofload.discovery import module_for
from proofload.engine.answers import NO_EXPECTATION, AnswerCheck
from proofload.engine.capture import Capture
from proofload.engine.dispatcher import Dispatcher, timeline
from proofload.engine.health import SelfWatch
from proofload.engine.ledger import Ledger
from proofload.engine.pairing import Pairing
from proofload.engine.retries import Retries, RetryPlan
from proofload.engine.ring import Ring
from proofload.engine.routing import Routing
from proofload.engine.schedule import PhasePlan, share
from proofload.engine.timer import AbsoluteTimer
from proofload.errors import InputError, ProofloadError
from proofload.placeholders import looked_up
from proofload.transports import Transport, TransportSpec
from proofload.workloads.payloads import Payloads, load_payloads


@dataclass(frozen=True, slots=True)
class ArmSpec:
    """How one arm is reached. Plain data."""

    transport: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """`env:NAME` is looked up by the engine process: no secret is told to it, least of all over a network."""
    connections: int = 1024
    request: Mapping[str, Any] = field(default_factory=dict)
    response: Mapping[str, Any] = field(default_factory=dict)
    payloads: str = ""
    """A file of the same bodies in the same order whose expectations hold for this arm; empty: the run's."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What one engine process is told at its start. Plain data."""

    worker: int
    workers: int
    core: int | None
    ring_rows: int
    payloads: str
    timeout_s: float
    deadline_s: float
    answers: str
    """Where captured answers go."""
    salt: str = ""
    forcing_header: tuple[str, str] = ("", "")
    """A payload that carries this header (name, value) goes to arm 1 whatever its share."""
    retry: Mapping[str, float] | None = None
    """attempts, attempt_timeout_ns, backoff_ns."""


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
                    case "begin":
                        worker = _Worker.begun(WorkerSpec(**message["spec"]), ring_fd, say)
                    case "open" if worker is not None:
                        await worker.open(message["arm"], ArmSpec(**message["spec"]))
                        say("opened", arm=message["arm"])
                    case "phases" if worker is not None:
                        worker.start(message["phases"], message["start_ns"])
                    case "split" if worker is not None:
                        worker.split({int(arm): share for arm, share in message["shares"].items()})
                    case "cut" if worker is not None:
                        worker.cut(message["patience_s"])
            except ProofloadError as exc:
                say("failed", type=type(exc).__name__, what=exc.what, evidence=exc.evidence, cause=exc.cause,
                    remedy=exc.remedy)  # fmt: skip
    finally:
        if worker is not None:
            await worker.close()
        writer.close()


class _Worker:
    def __init__(self, spec: WorkerSpec, payloads: Payloads, ledger: Ledger, say: Any) -> None:
        self._spec = spec
        self._payloads = payloads
        self._transports: list[Transport] = []
        self._ledger = ledger
        self._say = say
        self._pairing = Pairing(ledger.ring)
        self._capture: Capture | None = None
        self._routing: Routing | None = None
        loop = asyncio.get_running_loop()
        self._dispatcher = Dispatcher(
            loop,
            lambda wake: AbsoluteTimer(loop, wake),
            ledger,
            self._transports,
            worker=spec.worker,
            retries=None if spec.retry is None else _retries(spec.retry, spec.worker),
        )
        self._watch = SelfWatch(loop, lambda readings: say("health", worker=spec.worker, **readings), spec.core)
        self._watch.start()

    @classmethod
    def begun(cls, spec: WorkerSpec, ring_fd: int, say: Any) -> _Worker:
        if spec.core is not None:
            os.sched_setaffinity(0, {spec.core})
        ledger = Ledger(
            Ring(ring_fd, spec.ring_rows),
            deadline_ns=round(spec.deadline_s * NS_PER_S),
            timeout_ns=round(spec.timeout_s * NS_PER_S),
            report=lambda event, detail: say(event, worker=spec.worker, t_ns=time.monotonic_ns(), **detail),
        )
        return cls(spec, load_payloads(spec.payloads), ledger, say)

    async def open(self, arm: int, spec: ArmSpec) -> None:
        """Reach this arm from now on; what was there before is closed."""
        if arm > len(self._transports):
            raise InputError(
                f"arm {arm} cannot be opened before arm {arm - 1}", remedy="start what is to be on the lower arm first"
            )
        payloads = self._payloads if spec.payloads in ("", self._spec.payloads) else self._other_payloads(spec)
        transport: Transport = module_for("transport", spec.transport).create(
            TransportSpec(
                name=spec.transport,
                url=spec.url,
                bodies=self._payloads.bodies,
                headers={
                    name: looked_up(value, owner="the target", key=f"request.headers.{name}")
                    for name, value in spec.headers.items()
                },
                payload_headers=own_headers(self._payloads, spec.request.get("user_header")),
                connections=spec.connections,
                timeout_s=self._spec.timeout_s,
                request=spec.request,
                response=spec.response,
                worker=self._spec.worker,
            ),
            self._ledger,
        )
        check = answer_check(transport.decode, payloads, spec.response)
        await transport.open()
        if arm == len(self._transports):
            self._transports.append(transport)
            self._ledger.checks.append(check)
        else:
            before, self._transports[arm] = self._transports[arm], transport
            self._ledger.checks[arm] = check
            await before.close()

    def _other_payloads(self, spec: ArmSpec) -> Payloads:
        """Expectations of an arm's own. Raises InputError when the requests are not the same."""
        payloads = load_payloads(spec.payloads)
        if payloads.bodies != self._payloads.bodies:
            raise InputError(
                f"{spec.payloads} does not hold the same requests as {self._spec.payloads}",
                evidence=f"{len(payloads)} against {len(self._payloads)} payloads",
                cause="two versions are compared by what they answer to the same requests, line by line",
                remedy="give both the same bodies in the same order; `expect` may differ",
            )
        return payloads

    def start(self, phases: list[dict[str, Any]], start_ns: int) -> None:
        plans = [PhasePlan(**phase) for phase in phases]
        blocks = [
            (plan, share(plan, payloads=len(self._payloads), worker=self._spec.worker, workers=self._spec.workers))
            for plan in plans
        ]
        self._keep_what_is_asked_for(plans)
        if self._routing is None and any(plan.mirror for plan in plans):
            self.split({0: 1.0})
        self._ledger.new_phase()
        self._dispatcher.start(timeline(blocks, start_ns), self._idle)

    def _keep_what_is_asked_for(self, plans: Sequence[PhasePlan]) -> None:
        predictions = any(plan.mirror or plan.scores for plan in plans)
        self._ledger.pairing = self._pairing if predictions else None
        for check in self._ledger.checks:
            check.keep_predictions(wanted=predictions)
        captured = {plan.index for plan in plans if plan.capture}
        if captured and self._capture is None:
            path = Path(self._spec.answers) / f"engine-{self._spec.worker}.jsonl"
            self._capture = Capture(self._ledger.ring, path)
        if self._capture is not None:
            self._capture.phases = captured
        self._ledger.capture = self._capture if captured else None

    def split(self, shares: Mapping[int, float]) -> None:
        if self._routing is None:
            name, value = self._spec.forcing_header
            forced = {
                index
                for index, headers in enumerate(self._payloads.headers)
                if name and any(key.lower() == name.lower() and held == value for key, held in headers.items())
            }
            self._routing = Routing(self._payloads.users, self._spec.salt, forced, seed=self._spec.worker)
            self._dispatcher.route = self._routing.arm
        self._routing.share(shares)
        told = {str(arm): part for arm, part in shares.items()}
        self._say("split", worker=self._spec.worker, t_ns=time.monotonic_ns(), shares=told)

    def _idle(self) -> None:
        if self._capture is not None:
            self._capture.flush()
        self._say("idle", worker=self._spec.worker, counts={str(k): v for k, v in self._dispatcher.counts.items()})

    def cut(self, patience_s: float | None) -> None:
        """End what is planned; with patience, what is on its way then ends after it, else by its own time-out."""
        self._dispatcher.cut(now_ns=time.monotonic_ns())
        if patience_s is not None:
            asyncio.get_running_loop().call_later(patience_s, self._dispatcher.end_the_rest)

    async def close(self) -> None:
        self._watch.stop()
        self._dispatcher.close()
        if self._capture is not None:
            self._capture.close()
        for transport in self._transports:
            await transport.close()


def own_headers(payloads: Payloads, user_header: str | None) -> Sequence[Mapping[str, str]]:
    """What each payload brings of its own, its user included where the target wants to know."""
    if not user_header:
        return payloads.headers
    own = payloads.headers or ({},) * len(payloads)
    return [
        headers if user is None else {**headers, user_header: user}
        for headers, user in zip(own, payloads.users, strict=True)
    ]


def answer_check(decode: Callable[[bytes], Any], payloads: Payloads, response: Mapping[str, Any]) -> AnswerCheck:
    return AnswerCheck(
        decode,
        [
            NO_EXPECTATION if absent else expect
            for expect, absent in zip(payloads.expects, payloads.unexpected, strict=True)
        ],
        prediction=response.get("prediction") or "$.prediction",
        version=response.get("version"),
        expected_version=response.get("expected_version"),
        rtol=response.get("rtol", 1e-4),
    )


def _retries(retry: Mapping[str, float], worker: int) -> Retries:
    plan = RetryPlan(round(retry["attempts"]), round(retry["attempt_timeout_ns"]), round(retry["backoff_ns"]))
    return Retries(plan, seed=worker)
