"""NVIDIA accelerators that a target's processes use, as the driver's management library tells (nvidia-ml-py).

Readings (source "gpu"), sums over the devices that its process tree is seen on:

memory_bytes         what its processes hold there
memory_total_bytes   the memory of these devices
utilisation          share of the time in which any kernel ran on them, whosever it was; the mean over devices
devices              on so many devices it is seen; 0: nothing else is read, which is so, too, where the driver counts
                     processes in another namespace
whole_device         1 from when on the driver has told no memory of a process (some virtual devices): the devices
                     are read as a whole then, and neighbours count, too

Without the library, a device or a process there is no such probe.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from proofload import _process_trees as trees
from proofload.clock import Clock, MonotonicClock
from proofload.errors import TargetError
from proofload.probes import Subject
from proofload.probes._proc import tree
from proofload.records import Reading

SOURCE = "gpu"


def create(subject: Subject) -> GpuProbe | None:
    if not subject.pids:
        return None
    library = _library()
    return None if library is None else GpuProbe(subject, library)


def _library() -> Any:
    """The management library, initialised; None where it, the driver or a device is missing."""
    try:
        found = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        found.nvmlInit()
    except found.NVMLError:
        return None
    with suppress(found.NVMLError):
        if found.nvmlDeviceGetCount() > 0:
            return found
    found.nvmlShutdown()
    return None


class GpuProbe:
    """Raises ProcessLookupError when a process of the subject is gone, TargetError when the driver does not answer."""

    interval_s = 1.0

    def __init__(self, subject: Subject, library: Any, *, clock: Clock | None = None) -> None:
        self._arm = subject.arm
        self._pids = subject.pids
        self._nvml = library
        self._clock = clock or MonotonicClock()
        self._roots: list[trees.Root] = []
        self._closed = False
        self._whole = False
        self._devices = [library.nvmlDeviceGetHandleByIndex(at) for at in range(library.nvmlDeviceGetCount())]

    def read(self) -> Iterable[Reading]:
        if not self._roots:
            self._roots = [_identity(pid) for pid in self._pids]
        ours = set(tree(self._roots))
        now_ns = self._clock.now_ns()
        try:
            values = self._values(ours)
        except self._nvml.NVMLError as exc:
            raise TargetError("the accelerator cannot be read", evidence=str(exc)) from exc
        return [Reading(now_ns, SOURCE, name, float(value), self._arm) for name, value in values.items()]

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            with suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()

    def _values(self, ours: set[int]) -> Mapping[str, float]:
        total, used, busy, on = 0, 0, 0.0, 0
        own: list[int | None] = []
        for device in self._devices:
            mine = [held for pid, held in self._processes(device).items() if pid in ours]
            if not mine:
                continue
            memory = self._nvml.nvmlDeviceGetMemoryInfo(device)
            on, total, used, own = on + 1, total + memory.total, used + memory.used, own + mine
            busy += self._nvml.nvmlDeviceGetUtilizationRates(device).gpu / 100.0
        if not on:
            return {"devices": 0.0}
        self._whole = self._whole or None in own  # one series is of one kind
        held = used if self._whole else sum(one for one in own if one is not None)
        return {
            "devices": on, "memory_bytes": held, "memory_total_bytes": total, "utilisation": busy / on,
            "whole_device": self._whole,
        }  # fmt: skip

    def _processes(self, device: Any) -> dict[int, int | None]:
        """Bytes by process; None where the driver knows the process and not its memory."""
        found: dict[int, int | None] = {}
        for ask in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
            with suppress(self._nvml.NVMLError):
                found.update({one.pid: one.usedGpuMemory for one in getattr(self._nvml, ask)(device)})
        return found


def _identity(pid: int) -> trees.Root:
    who = trees.root(pid)
    if who is None:
        raise ProcessLookupError(f"process {pid} is gone")
    return who
