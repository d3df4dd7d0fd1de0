"""A probe in one file: how often the target gave up its core, from the kernel's own count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from proofload.clock import MonotonicClock
from proofload.probes import Subject
from proofload.records import Reading


def create(subject: Subject) -> ContextSwitches | None:
    return ContextSwitches(subject.pids, subject.arm) if subject.pids else None


class ContextSwitches:
    """Reads Linux's /proc. Raises OSError when a process is gone."""

    interval_s = 0.5

    def __init__(self, pids: Sequence[int], arm: int) -> None:
        self._pids = pids
        self._arm = arm
        self._clock = MonotonicClock()

    def read(self) -> Iterable[Reading]:
        switches = sum(_voluntary(Path(f"/proc/{pid}/status").read_text(encoding="ascii")) for pid in self._pids)
        return [Reading(self._clock.now_ns(), "kernel", "voluntary_switches", float(switches), self._arm)]

    def close(self) -> None: ...


def _voluntary(status: str) -> int:
    lines = (line.partition(":") for line in status.splitlines())
    return next(int(value) for name, _, value in lines if name == "voluntary_ctxt_switches")
