"""Calls probes at their intervals while a run lasts, and hands on what they read.

A thread for each probe, so that one that hangs delays no other. A reading that fails is a gap: one
event when it begins, one when it ends, and no value in between.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from proofload.clock import NS_PER_S, Clock, MonotonicClock
from proofload.errors import TargetError
from proofload.probes import Probe
from proofload.records import Event, Reading

Record = Callable[[list[Reading]], None]
Announce = Callable[[Event], None]

GAP = "probe-gap"
RESUMED = "probe-resumed"
_JOIN_S = 2.0


@dataclass(slots=True)
class Turn:
    """One probe and when it is due. Pure but for the probe: time is what the caller says it is."""

    name: str
    probe: Probe
    due_ns: int
    gap_since_ns: int = 0
    missed: int = 0

    def take(self, clock: Clock) -> tuple[list[Reading], Event | None]:
        """Read now, and set when it is due next: on the grid of its interval, past instants left out."""
        try:
            readings = list(self.probe.read())
        except Exception as exc:  # noqa: BLE001  whatever a probe does, the run goes on and the gap is on record
            event = self._gap(clock.now_ns(), exc)
            readings = []
        else:
            event = self._resumed(clock.now_ns())
        interval_ns = max(1, round(self.probe.interval_s * NS_PER_S))
        late_ns = max(0, clock.now_ns() - self.due_ns)
        self.due_ns += interval_ns * (1 + late_ns // interval_ns)
        return readings, event

    def _gap(self, now_ns: int, exc: Exception) -> Event | None:
        self.missed += 1
        if self.missed > 1:
            return None
        self.gap_since_ns = now_ns
        text = str(exc) if isinstance(exc, (OSError, TargetError)) else f"{type(exc).__name__}: {exc}"
        return Event(now_ns, GAP, {"probe": self.name, "reason": text})

    def _resumed(self, now_ns: int) -> Event | None:
        if not self.missed:
            return None
        detail: Mapping[str, object] = {
            "probe": self.name,
            "missed": self.missed,
            "gap_s": round((now_ns - self.gap_since_ns) / NS_PER_S, 3),
        }
        self.missed = 0
        return Event(now_ns, RESUMED, detail)


@dataclass(slots=True)
class ProbeLoop:
    """Runs while the block lasts. `record` and `event` are called from other threads, one call at a time.

    `probes` are (name, probe); they are closed at the end. What `record` or `event` raise ends that
    probe's thread and is raised again when the block is left.
    """

    probes: Sequence[tuple[str, Probe]]
    record: Record
    event: Announce
    clock: Clock = field(default_factory=MonotonicClock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)
    _errors: list[Exception] = field(default_factory=list)

    def __enter__(self) -> Self:
        start_ns = self.clock.now_ns()
        for name, probe in self.probes:
            turn = Turn(name, probe, start_ns)
            self._threads.append(threading.Thread(target=self._run, args=(turn,), name=f"probe {name}", daemon=True))
        for thread in self._threads:
            thread.start()
        return self

    def halt(self) -> None:
        """Record nothing any more, without waiting for a reading that is under way."""
        self._stop.set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread, (_, probe) in zip(self._threads, self.probes, strict=True):
            thread.join(_JOIN_S)
            if not thread.is_alive():  # one that hangs in its reading keeps what it uses, until the process ends
                probe.close()
        if self._errors and error is None:
            raise self._errors[0]

    def _run(self, turn: Turn) -> None:
        while not self._stop.wait(max(0.0, (turn.due_ns - self.clock.now_ns()) / NS_PER_S)):
            readings, event = turn.take(self.clock)
            try:
                with self._lock:
                    if self._stop.is_set():
                        return
                    if event is not None:
                        self.event(event)
                    if readings:
                        self.record(readings)
            except Exception as exc:  # noqa: BLE001  raised again where the block is left
                self._errors.append(exc)
                return
