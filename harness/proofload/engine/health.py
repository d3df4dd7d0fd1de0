"""The client watches itself: once a second, what this engine process cost and what it was denied."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from proofload.clock import NS_PER_MS, NS_PER_S

_BEAT_S = 0.02
_STALL_NS = 50 * NS_PER_MS
_YOUNG_COLLECTION_EVERY = 10
"""Seconds between collections of young objects; the full ones are held off while load runs."""


class SelfWatch:
    """Calls `report` each second with the readings that `proofload.analysis.health` understands.

    Keys: t_ns, cpu_share (of one core), runqueue_share (runnable but without a core; None where the
    kernel does not tell), loop_stalls (beats more than 50 ms late), max_stall_ms, gc_pause_ms, fds,
    steal_share (the hypervisor ran something else on this core; None where it does not tell).
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, report: Callable[[dict[str, Any]], None], core: int | None
    ) -> None:
        self._loop = loop
        self._report = report
        self._core = core
        self._stalls = 0
        self._max_stall_ns = 0
        self._gc_ns = 0
        self._gc_began = 0
        self._seconds = 0
        self._handle: asyncio.TimerHandle | None = None
        self._at = time.monotonic_ns()
        self._cpu = time.process_time_ns()
        self._denied = _runqueue_ns()
        self._steal = _steal_ticks(core)

    def start(self) -> None:
        gc.callbacks.append(self._on_collection)
        gc.collect()
        gc.freeze()
        gc.disable()
        self._due = time.monotonic_ns()
        self._last = self._due
        self._beat()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        if self._on_collection in gc.callbacks:
            gc.callbacks.remove(self._on_collection)
        gc.enable()

    def _beat(self) -> None:
        now = time.monotonic_ns()
        late = now - self._due
        if late > _STALL_NS:
            self._stalls += 1
        self._max_stall_ns = max(self._max_stall_ns, late)
        if now - self._at >= NS_PER_S:
            self._second(now)
        self._due = now + round(_BEAT_S * NS_PER_S)
        self._handle = self._loop.call_later(_BEAT_S, self._beat)

    def _second(self, now: int) -> None:
        self._seconds += 1
        if self._seconds % _YOUNG_COLLECTION_EVERY == 0:
            gc.collect(0)
        wall = now - self._at
        cpu, denied, steal = time.process_time_ns(), _runqueue_ns(), _steal_ticks(self._core)
        self._report(
            {
                "t_ns": now,
                "cpu_share": (cpu - self._cpu) / wall,
                "runqueue_share": None if denied is None or self._denied is None else (denied - self._denied) / wall,
                "loop_stalls": self._stalls,
                "max_stall_ms": self._max_stall_ns / NS_PER_MS,
                "gc_pause_ms": self._gc_ns / NS_PER_MS,
                "fds": _open_fds(),
                "steal_share": None
                if steal is None or self._steal is None
                else (steal - self._steal) / os.sysconf("SC_CLK_TCK") * NS_PER_S / wall,
            }
        )
        self._at, self._cpu, self._denied, self._steal = now, cpu, denied, steal
        self._stalls = self._max_stall_ns = self._gc_ns = 0

    def _on_collection(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._gc_began = time.monotonic_ns()
        else:
            self._gc_ns += time.monotonic_ns() - self._gc_began


def _runqueue_ns() -> int | None:
    """Time this thread was runnable without running: the second field of schedstat (Linux)."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return None


def _steal_ticks(core: int | None) -> int | None:
    if core is None:
        return None
    try:
        with Path("/proc/stat").open(encoding="ascii") as lines:
            for line in lines:
                if line.startswith(f"cpu{core} "):
                    return int(line.split()[8])
    except (OSError, IndexError, ValueError):
        return None
    return None


def _open_fds() -> int | None:
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  a count is all that is wanted
    except OSError:
        return None
