"""The lab's side of the engine: starts the processes, hands them phases, brings their samples home."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from time import monotonic_ns
from typing import Any

from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.engine.recorder import Recorder, Told
from proofload.engine.ring import Ring
from proofload.engine.schedule import PhasePlan
from proofload.engine.source import ProcessSource
from proofload.engine.worker import ArmSpec, WorkerSpec
from proofload.errors import MeasurementError
from proofload.records import Event, Samples
from proofload.scenarios import RetryTable
from proofload.store.folder import Recording
from proofload.store.record import ANSWERS

_LEAD_NS = 100 * NS_PER_MS
"""A phase starts this long after it is ordered, so that every process has its plan by then."""
_OPEN_PATIENCE_S = 60.0
_DRAIN_PATIENCE_S = 10.0
_CUT_PATIENCE_S = 3.0
"""How long a load that is given up waits for answers that are on their way."""
_RING_SLACK_S = 4.0
_SILENCE_S = 20.0
"""Longer than this after the last request can have timed out, an engine process is given up."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What all engine processes of a run share. `cores` pins one process to each; its length is their number."""

    payloads: str
    cores: Sequence[int | None]
    timeout_s: float = 5.0
    deadline_s: float | None = None
    peak_rps: float = 1000.0
    """The highest rate any phase will ask for: sizes the sample rings."""
    salt: str = ""
    forcing_header: tuple[str, str] = ("", "")
    retry: RetryTable | None = None
    first: int = 0
    """The number of this host's first process among all that drive the run."""
    of: int = 0
    """How many those are; 0: no other host has any."""

    @property
    def workers(self) -> int:
        return self.of or len(self.cores)


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
    scores: bool = False
    """Keep the predictions that are numbers, in the samples' `score`."""


Tick = Callable[[Recorder, float], None]
"""Called a few times a second while load runs, with the seconds left. May raise to end the phase."""


class Engine:
    """Running engine processes. Use `started`."""

    def __init__(self, folder: Recording, recorder: Recorder, spec: EngineSpec) -> None:
        self._spec = spec
        self._folder = folder
        self._recorder = recorder
        self._numbers = itertools.count()

    def open(self, arm: int, spec: ArmSpec) -> None:
        """Reach this arm from now on; returns when every process can.

        Raises the worker's own TargetError, InputError or Unavailable when the transport cannot open.
        """
        each = replace(spec, connections=max(1, spec.connections // self._spec.workers))
        self._recorder.opening()
        self._recorder.order({"do": "open", "arm": arm, "spec": asdict(each)})
        self._recorder.wait_opened(_OPEN_PATIENCE_S)

    def summary(self) -> Told:
        """What became of all that was asked since the last load began, for the progress line."""
        return self._recorder.told()

    def split(self, shares: Mapping[int, float]) -> None:
        """Give each arm its share, from now on. Each process says when it did (event "split")."""
        self._recorder.order({"do": "split", "shares": {str(arm): share for arm, share in shares.items()}})

    @contextmanager
    def running(self, stretches: Sequence[Stretch], tick: Tick) -> Iterator[Load]:
        """Phases back to back, while the block goes on; afterwards every sample of them is recorded.

        When the block or `tick` raises, or Ctrl-C comes, the phase is cut: in-flight requests are waited for, what
        was due and not sent is recorded as unsent, and the exception goes on.
        """
        start_ns = monotonic_ns() + _LEAD_NS
        plans = [_plan(next(self._numbers), stretch) for stretch in stretches]
        self._recorder.begin()
        load = Load(self._recorder, self._folder, plans, start_ns=start_ns, tick=tick, timeout_s=self._spec.timeout_s)
        for (begin_ns, _), plan, stretch in zip(load.spans, plans, stretches, strict=True):
            detail = {key: value for key, value in asdict(plan).items() if key != "index"}
            self._event("phase", begin_ns, phase=plan.index, start_ns=begin_ns, measured=stretch.measured, **detail)
        self._recorder.order({"do": "phases", "phases": [asdict(plan) for plan in plans], "start_ns": start_ns})
        try:
            yield load
            while load.wait(0.2):
                pass
        except BaseException:
            with suppress(MeasurementError):
                load.cut(patience_s=_CUT_PATIENCE_S)
            self._recorder.settle(_DRAIN_PATIENCE_S)
            raise
        finally:
            self._account(plans)

    def run(self, stretches: Sequence[Stretch], tick: Tick) -> list[int]:
        """Run phases back to back; returns their indices once every sample of them is recorded. See `running`."""
        with self.running(stretches, tick) as load:
            pass
        return load.phases

    def _account(self, plans: Sequence[PhasePlan]) -> None:
        self._recorder.flush()
        if not self._recorder.idle:  # one died or hangs: what it planned is only known from what it recorded
            return
        counts = self._recorder.planned
        for plan in plans:
            self._event("phase-planned", monotonic_ns(), phase=plan.index, planned=counts.get(plan.index, 0))

    def _event(self, kind: str, t_ns: int, **detail: Any) -> None:
        self._folder.add_event(Event(t_ns, kind, detail))


class Load:
    """Phases under way: see `proofload.procedures.Running`."""

    def __init__(
        self,
        recorder: Recorder,
        folder: Recording,
        plans: Sequence[PhasePlan],
        *,
        start_ns: int,
        tick: Tick,
        timeout_s: float,
    ) -> None:
        self._recorder = recorder
        self._folder = folder
        self._tick = tick
        self._timeout_s = timeout_s
        self.start_ns = start_ns
        self.phases = [plan.index for plan in plans]
        self.spans: list[tuple[int, int]] = []
        """Begin and end of each phase as it was planned, or cut."""
        at_ns = start_ns
        for plan in plans:
            end_ns = at_ns + round(plan.duration_s * NS_PER_S)
            self.spans.append((at_ns, end_ns))
            at_ns = end_ns

    def wait(self, seconds: float) -> bool:
        until_ns = monotonic_ns() + round(seconds * NS_PER_S)
        while True:
            pause_s = max(0.0, min(0.2, (until_ns - monotonic_ns()) / NS_PER_S))
            if self._recorder.wait_idle(pause_s):
                return False
            left_s = (self.spans[-1][1] - monotonic_ns()) / NS_PER_S
            if left_s < -(self._timeout_s + _SILENCE_S):
                raise _silent(left_s)
            self._tick(self._recorder, max(0.0, left_s))
            if monotonic_ns() >= until_ns:
                return True

    def taken(self) -> Samples:
        return Samples(self._recorder.taken())

    def cut(self, patience_s: float | None = None) -> None:
        """Nothing more falls due. What is on its way ends by its own time-out, or after `patience_s`."""
        now = monotonic_ns()
        self._recorder.order({"do": "cut", "patience_s": patience_s})
        for number, (phase, (begin_ns, end_ns)) in enumerate(zip(self.phases, self.spans, strict=True)):
            if now < end_ns:
                ran_s = max(0, now - begin_ns) / NS_PER_S
                self._folder.add_event(Event(now, "phase-cut", {"phase": phase, "ran_s": ran_s}))
                self.spans[number] = (min(begin_ns, now), now)


def _silent(left_s: float) -> MeasurementError:
    return MeasurementError(
        f"an engine process has not finished {-left_s:.0f} s after its last request was due",
        cause="it was stopped (SIGSTOP, a debugger), starved of CPU, or met a defect in proofload",
        remedy="look at logs/engine-*.log; what was recorded until then is kept",
    )


@contextmanager
def started(spec: EngineSpec, folder: Recording, environment: Mapping[str, str]) -> Iterator[Engine]:
    """Engine processes that are ready to open arms and to run phases. Raises MeasurementError when one dies."""
    with recording(spec, folder, environment) as recorder:
        yield Engine(folder, recorder, spec)


@dataclass(frozen=True, slots=True)
class Engines:
    """Where the load of a run comes from."""

    ready: Callable[[EngineSpec, Recording, Mapping[str, str]], AbstractContextManager[Engine]] = started
    here: bool = True
    """Whether that is processes of the lab's own, which get cores of this host."""


@contextmanager
def recording(spec: EngineSpec, folder: Recording, environment: Mapping[str, str]) -> Iterator[Recorder]:
    """Engine processes that have begun, and what brings their samples home."""
    recorder = Recorder(folder)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for number, core in enumerate(spec.cores):
            ring = Ring.allocate(_ring_rows(spec))
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
            recorder.attach(ProcessSource(number, process, ours, ring))
            worker = _worker_spec(spec, number, core, ring.capacity, folder)
            recorder.order_one(number, {"do": "begin", "spec": asdict(worker)})
        recorder.start()
        yield recorder
    finally:
        recorder.stop()
        for process in processes:
            _end(process)


def _ring_rows(spec: EngineSpec) -> int:
    in_flight_s = spec.timeout_s + _RING_SLACK_S
    return round(spec.peak_rps / spec.workers * in_flight_s) + 4 * 8192


def _worker_spec(spec: EngineSpec, number: int, core: int | None, ring_rows: int, folder: Recording) -> WorkerSpec:
    return WorkerSpec(
        worker=spec.first + number,
        workers=spec.workers,
        core=core,
        ring_rows=ring_rows,
        payloads=spec.payloads,
        timeout_s=spec.timeout_s,
        deadline_s=min(spec.deadline_s or spec.timeout_s, spec.timeout_s),
        answers=str(folder.path / ANSWERS),
        salt=spec.salt,
        forcing_header=spec.forcing_header,
        retry=None if spec.retry is None else _retry(spec.retry),
    )


def _retry(table: RetryTable) -> dict[str, float]:
    return {
        "attempts": table.attempts,
        "attempt_timeout_ns": (table.attempt_timeout_s or 0.0) * NS_PER_S,
        "backoff_ns": table.backoff_s * NS_PER_S,
    }


def _plan(index: int, stretch: Stretch) -> PhasePlan:
    return PhasePlan(
        index=index,
        name=stretch.name,
        arrival=stretch.arrival,
        rate_rps=stretch.rate_rps,
        duration_s=stretch.duration_s,
        seed=stretch.seed,
        shape=stretch.shape,
        mirror=stretch.mirror,
        capture=stretch.capture,
        scores=stretch.scores,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Its socket is closed, so it ends by itself; if not, it is made to."""
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
