"""A target's container: CPU and memory against their limits, throttling, kills, restarts, traffic.

Readings (source "container"):

cpu_share          cores used since the reading before
cpu_limit_cores    its CPU limit; cpu_of_limit: what it used of that
throttled_share    since the reading before: of the scheduler's periods in which it wanted to run, those in which it had
                   used up its share and was stopped for the rest. Nothing where it has no limit, or did not run
throttled_s        how long it has been stopped since the first reading, added up over cores
memory_bytes       working set: all that counts against its limit, less file pages not used lately
usage_bytes        all that counts against its limit
anon_bytes         of that, what cannot be given back when memory gets short: heaps, stacks, shared memory, tmpfs.
                   What leaks is in here; the page cache is not
memory_limit_bytes its memory limit; memory_of_limit: the working set's share of that
oom_kills          processes of it that the kernel killed at that limit, since the container started; at least so many
restarts           how often the container was started again since the first reading
pids               processes and threads
rx_bytes_per_s, tx_bytes_per_s   its own network's traffic, without the loopback; nothing where it shares the host's

They come from the control group's files where this host shows them, every half second; otherwise from the engine's
API, which is dearer and comes less often. There, kills are only known once the container has ended. What is not told
is not read. A container that ended, and that the engine says was killed at its memory limit, gives `oom_kills` once
more.
"""

from __future__ import annotations

from collections.abc import Iterable

from proofload.clock import Clock, MonotonicClock
from proofload.errors import TargetError
from proofload.probes import Subject
from proofload.probes._container_engine import ContainerEngine, State
from proofload.probes._container_group import ContainerGroup, find
from proofload.probes._container_usage import Rates, Usage
from proofload.records import Reading

SOURCE = "container"
FILES_S = 0.5
ENGINE_S = 2.0


def create(subject: Subject) -> ContainerProbe | None:
    return ContainerProbe(subject) if subject.container_id else None


class ContainerProbe:
    """Raises TargetError when the container has ended, or when neither files nor engine tell of it."""

    def __init__(
        self, subject: Subject, *, clock: Clock | None = None, engine: ContainerEngine | None = None, files: bool = True
    ) -> None:
        """`files`: False asks the engine for everything."""
        self._id = subject.container_id
        self._arm = subject.arm
        self._clock = clock or MonotonicClock()
        self._engine = engine or ContainerEngine(subject.container_id)
        self._files = files
        self._group: ContainerGroup | None = None
        self._look(subject.pids)
        self._life: State | None = None
        """The life that it was last seen in; None: only its files were looked at."""
        self._rates = Rates()
        self._restarts = 0
        self._killed, self._killed_before = 0, 0
        self._told_its_end = False

    def read(self) -> Iterable[Reading]:
        now_ns = self._clock.now_ns()
        usage: Usage | None
        try:
            usage = self._usage()
        except ProcessLookupError:
            usage = self._usage_of_another_life()
        if usage is None:
            return self._readings({"oom_kills": self._killed_before + self._killed}, now_ns)
        values = self._rates.of(usage, now_ns)
        if usage.oom_kills is not None:
            self._killed = usage.oom_kills
            values["oom_kills"] = self._killed_before + self._killed
        values["restarts"] = self._restarts
        return self._readings(values, now_ns)

    def close(self) -> None:
        self._engine.close()

    def _usage(self) -> Usage:
        """Raises ProcessLookupError when the life it was last seen in is over."""
        if self._group is not None:
            return self._group.read()
        state = self._engine.state()
        if not state.running or (self._life is not None and state.started_at != self._life.started_at):
            raise ProcessLookupError(f"container {self._id[:12]} has ended")
        return self._used(state)

    def _usage_of_another_life(self) -> Usage | None:
        """It was started again: what it uses now. None, once: it was killed at its memory limit."""
        state = self._engine.state()
        if not state.running:
            if state.out_of_memory and not self._told_its_end:
                self._told_its_end = True
                self._killed = max(1, self._killed)
                return None
            raise TargetError(
                f"container {self._id[:12]} has ended",
                evidence=f"exit status {state.exit_code}" + (", killed for memory" if state.out_of_memory else ""),
            )
        if not self._is_another(state):
            raise TargetError(
                f"container {self._id[:12]} is about to end",
                evidence="its first process is gone, its engine has not noticed",
            )
        self._restarts += 1 if self._life is None else max(1, state.restarts - self._life.restarts)
        self._killed_before, self._killed = self._killed_before + self._killed, 0
        self._told_its_end = False
        self._rates.forget()
        return self._used(state)

    def _used(self, state: State) -> Usage:
        """By its files where this host shows them."""
        self._life = state
        self._look([state.pid])
        return self._engine.usage(state) if self._group is None else self._group.read()

    def _is_another(self, state: State) -> bool:
        if self._life is not None:
            return state.started_at != self._life.started_at
        return self._group is not None and state.pid != self._group.who.pid

    def _look(self, pids: Iterable[int]) -> None:
        """For its control group, by pids one of which is its first process's."""
        found = (find(self._id, pid) for pid in pids if self._files and pid)
        self._group = next((group for group in found if group is not None), None)
        self.interval_s = ENGINE_S if self._group is None else FILES_S

    def _readings(self, values: dict[str, float], now_ns: int) -> list[Reading]:
        return [Reading(now_ns, SOURCE, name, float(value), self._arm) for name, value in values.items()]
