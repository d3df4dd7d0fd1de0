"""The process of the gevent users watches itself, as engine processes do (`proofload.engine.health`)."""

from __future__ import annotations

import time
from time import monotonic_ns
from typing import Any

from proofload.clock import NS_PER_MS, NS_PER_S

_STALL_NS = 50 * NS_PER_MS


class SelfWatch:
    """`beat` often: the time between two beats shows whether the loop stood still."""

    def __init__(self) -> None:
        self._at = self._last = monotonic_ns()
        self._cpu = time.process_time_ns()
        self._stalls = 0
        self._longest_ns = 0

    def beat(self) -> dict[str, Any] | None:
        """Once a second the readings of that second, else None."""
        now = monotonic_ns()
        pause_ns, self._last = now - self._last, now
        self._stalls += pause_ns > _STALL_NS
        self._longest_ns = max(self._longest_ns, pause_ns)
        wall_ns = now - self._at
        if wall_ns < NS_PER_S:
            return None
        cpu = time.process_time_ns()
        told = {
            "t_ns": now,
            "cpu_share": (cpu - self._cpu) / wall_ns,
            "runqueue_share": None,
            "loop_stalls": self._stalls,
            "max_stall_ms": self._longest_ns / NS_PER_MS,
            "gc_pause_ms": 0.0,
        }
        self._at, self._cpu, self._stalls, self._longest_ns = now, cpu, 0, 0
        return told
