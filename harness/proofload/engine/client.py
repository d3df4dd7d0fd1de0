"""The lab's side of the engine: starts the processes, hands them phases, brings their samples home."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from time import monotonic_ns
from typing import Any

from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.engine.recorder import Recorder
from proofload.engine.ring import Ring
from proofload.engine.schedule import PhasePlan
from proofload.engine.worker import WorkerSpec
from proofload.errors import MeasurementError
from proofload.records import Event
from proofload.store.folder import RunFolder

_LEAD_NS = 100 * NS_PER_MS
"""A phase starts this long after it is ordered, so that every process has its plan by then."""
_OPEN_PATIENCE_S = 60.0
_DRAIN_PATIENCE_S = 10.0
_RING_SLACK_S = 4.0
_SILENCE_S = 20.0
"""Longer than this after the last request can have timed out, an engine process is given up."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What all engine processes of a run share. `cores` pins one process to each; its length is their number."""

    transport: str
    url: str
    payloads: str
    cores: Sequence[int | None]
    headers: Mapping[str, str] = field(default_factory=dict)
    connections: int = 1024
    timeout_s: float = 5.0
    deadline_s: float | None = None
    request: Mapping[str, Any] = field(default_factory=dict)
    response: Mapping[str, Any] = field(default_factory=dict)
    peak_rps: float = 1000.0
    """The highest rate any phase will ask for: sizes the sample rings."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One phase as a procedure asks for it."""

    name: str
    rate_rps: float
    duration_s: float
    arrival: str = "constant"
    shape: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    measured: bool = True
    mirror: float = 0.0
    """The share of requests that are sent to arm 1 as well, as copies that no user waits for."""
    capture: bool = False
    """Keep the answers' bodies in the run folder (see `Evidence.answers`): for low rates only."""


Tick = Callable[[Recorder, float], None]
"""Called a few times a second while load runs, with the seconds left. May raise to end the phase."""


class Engine:
    """Running engine processes. Use `started`."""

    def __init__(self, folder: RunFolder, recorder: Recorder, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._folder = folder
        self._recorder = recorder
        self._numbers = itertools.count()

    def run(self, stretches: Sequence[Stretch], tick: Tick) -> list[int]:
        """Run phases back to back; returns their indices once every sample of them is recorded.

        When `tick` raises, or Ctrl-C comes, the phase is cut: in-flight requests are waited for, what was due
        and not sent is recorded as unsent, and the exception goes on.
        """
        start_ns = monotonic_ns() + _LEAD_NS
        plans = [_plan(next(self._numbers), stretch) for stretch in stretches]
        self._recorder.begin()
        at_ns = start_ns
        for plan, stretch in zip(plans, stretches, strict=True):
            detail = {key: value for key, value in asdict(plan).items() if key != "index"}
            self._event("phase", at_ns, phase=plan.index, start_ns=at_ns, measured=stretch.measured, **detail)
            at_ns += round(plan.duration_s * NS_PER_S)
        self._recorder.order({"do": "phases", "phases": [asdict(plan) for plan in plans], "start_ns": start_ns})
        try:
            while not self._recorder.wait_idle(0.2):
                left_s = (at_ns - monotonic_ns()) / NS_PER_S
                if left_s < -(self._timeout_s + _SILENCE_S):
                    raise _silent(left_s)
                tick(self._recorder, max(0.0, left_s))
        except BaseException:
            self._cut(plans, start_ns)
            raise
        finally:
            self._account(plans)
        return [plan.index for plan in plans]

    def _cut(self, plans: Sequence[PhasePlan], start_ns: int) -> None:
        now = monotonic_ns()
        self._recorder.order({"do": "cut"})
        at_ns = start_ns
        for plan in plans:
            end_ns = at_ns + round(plan.duration_s * NS_PER_S)
            if now < end_ns:
                self._event("phase-cut", now, phase=plan.index, ran_s=max(0, now - at_ns) / NS_PER_S)
            at_ns = end_ns
        with suppress(MeasurementError):
            self._recorder.wait_idle(_DRAIN_PATIENCE_S)

    def _account(self, plans: Sequence[PhasePlan]) -> None:
        self._recorder.flush()
        if not self._recorder.idle:  # one died or hangs: what it planned is only known from what it recorded
            return
        counts = self._recorder.planned
        for plan in plans:
            self._event("phase-planned", monotonic_ns(), phase=plan.index, planned=counts.get(plan.index, 0))

    def _event(self, kind: str, t_ns: int, **detail: Any) -> None:
        self._folder.add_event(Event(t_ns, kind, detail))


def _silent(left_s: float) -> MeasurementError:
    return MeasurementError(
        f"an engine process has not finished {-left_s:.0f} s after its last request was due",
        cause="it was stopped (SIGSTOP, a debugger), starved of CPU, or met a defect in proofload",
        remedy="look at logs/engine-*.log; what was recorded until then is kept",
    )


@contextmanager
def started(spec: EngineSpec, folder: RunFolder, environment: Mapping[str, str]) -> Iterator[Engine]:
    """Engine processes that are connected to the target and ready for phases.

    Raises the worker's own TargetError, InputError or Unavailable when the transport cannot open, and
    MeasurementError when a process dies.
    """
    workers = len(spec.cores)
    recorder = Recorder(folder)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for number, core in enumerate(spec.cores):
            ring = Ring.allocate(_ring_rows(spec, workers))
            ours, theirs = socket.socketpair()
            log = (folder.logs / f"engine-{number}.log").open("wb")
            with theirs, log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "proofload.engine", str(theirs.fileno()), str(ring.fd)],
                    pass_fds=(theirs.fileno(), ring.fd),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=dict(environment),
                )
            processes.append(process)
            recorder.attach(number, process, ours, ring)
            worker = _worker_spec(spec, number, core, ring.capacity)
            recorder.order_one(number, {"do": "open", "spec": asdict(worker)})
        recorder.start()
        recorder.wait_opened(_OPEN_PATIENCE_S)
        yield Engine(folder, recorder, spec.timeout_s)
    finally:
        recorder.stop()
        for process in processes:
            _end(process)


def _ring_rows(spec: EngineSpec, workers: int) -> int:
    in_flight_s = spec.timeout_s + _RING_SLACK_S
    return round(spec.peak_rps / workers * in_flight_s) + 4 * 8192


def _worker_spec(spec: EngineSpec, number: int, core: int | None, ring_rows: int) -> WorkerSpec:
    workers = len(spec.cores)
    return WorkerSpec(
        worker=number,
        workers=workers,
        core=core,
        ring_rows=ring_rows,
        transport=spec.transport,
        url=spec.url,
        payloads=spec.payloads,
        headers=spec.headers,
        connections=max(1, spec.connections // workers),
        timeout_s=spec.timeout_s,
        deadline_s=min(spec.deadline_s or spec.timeout_s, spec.timeout_s),
        request=spec.request,
        response=spec.response,
    )


def _plan(index: int, stretch: Stretch) -> PhasePlan:
    return PhasePlan(
        index=index,
        name=stretch.name,
        arrival=stretch.arrival,
        rate_rps=stretch.rate_rps,
        duration_s=stretch.duration_s,
        seed=stretch.seed,
        shape=stretch.shape,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Its socket is closed, so it ends by itself; if not, it is made to."""
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
