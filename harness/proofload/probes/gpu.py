"""NVIDIA accelerators that a target's processes use, as the driver's management library tells (nvidia-ml-py).

Readings (source "gpu"), of the devices that its process tree is seen on. What a device, driver or permission keeps
back is not read, never 0; of several devices a sum or mean is read only where all of them tell.

devices               on so many it is seen, instances of one (MIG) counted each; 0: nothing else is read. That is so,
                      too, where the driver counts processes in another namespace and several devices are in question
memory_bytes          what its processes hold there
memory_reserved_bytes what the driver keeps for itself there
memory_total_bytes    the memory of these devices
utilisation           share of the time in which any kernel ran on them, whosever it was; the mean over devices
memory_utilisation    the same of reading and writing device memory
process_utilisation   share of the time in which its own kernels ran, by process; the mean over devices
power_w               of the whole boards, whoever uses them
power_limit_w         at which the boards are held
energy_j              what the boards it was seen on took since then, from their own counter
clock_sm_mhz, clock_memory_mhz   means over boards
temperature_c         the hottest
throttle_REASON       share of the boards whose clock was held down at that instant: power_cap, thermal,
                      hardware_thermal, hardware_slowdown, power_brake, sync_boost
neighbours            processes of others on these devices, where the driver tells
whole_device          1 from when on memory was not told by process: the devices are read as a whole then
shared_board          1 where it has an instance (MIG): power, clocks and temperature are those of the whole board

Without the library, a driver, a device or a process there is no such probe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from proofload import _process_trees as trees
from proofload.accelerators import Part, ask, open_library, parts, shut
from proofload.clock import Clock, MonotonicClock
from proofload.errors import TargetError, Unavailable
from proofload.probes import Subject
from proofload.probes._gpu_processes import Presence, Whereabouts
from proofload.probes._proc import tree
from proofload.records import Reading

SOURCE = "gpu"
REASONS = {
    "power_cap": 0x04, "hardware_slowdown": 0x08, "sync_boost": 0x10, "thermal": 0x20, "hardware_thermal": 0x40,
    "power_brake": 0x80,
}  # fmt: skip
"""NVML's bits of what holds a clock down against its user's will. Idleness and chosen clocks are not among them."""
_SM, _MEMORY, _ON_DIE = 1, 2, 0
_WITH_RESERVE = 0x02000028
"""nvmlMemory_v2"""


def create(subject: Subject) -> GpuProbe | None:
    if not subject.pids:
        return None
    try:
        library = open_library()
    except Unavailable:
        return None
    try:
        return GpuProbe(subject, library)
    except library.NVMLError:  # lost between the two questions; a run does not end for want of its readings
        shut(library)
        return None


class GpuProbe:
    """Raises ProcessLookupError when a process of the subject is gone, TargetError when the driver does not answer."""

    interval_s = 0.5

    def __init__(self, subject: Subject, library: Any, *, clock: Clock | None = None) -> None:
        self._arm = subject.arm
        self._pids = subject.pids
        self._nvml = library
        self._clock = clock or MonotonicClock()
        self._roots: list[trees.Root] = []
        self._closed = False
        self._whole = False
        self._where = Whereabouts(library, parts(library), self._clock)
        self._energy = _EnergyMeter(library)
        self._last_sample_us: dict[int, int] = {}

    def read(self) -> Iterable[Reading]:
        if not self._roots:
            self._roots = [_identity(pid) for pid in self._pids]
        ours = tree(self._roots)
        now_ns = self._clock.now_ns()
        try:
            values = self._values(self._where.of(ours))
        except self._nvml.NVMLError as exc:
            raise TargetError("the accelerator cannot be read", evidence=str(exc)) from exc
        return [Reading(now_ns, SOURCE, name, float(value), self._arm) for name, value in values.items()]

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            shut(self._nvml)

    def _values(self, on: Sequence[Presence]) -> dict[str, float]:
        if not on:
            return {"devices": 0.0}
        boards = list({one.part.index: one.part.board for one in on}.values())
        told: dict[str, float | None] = {
            "devices": len(on),
            **self._memory(on),
            **self._use(on),
            **self._draw(on, boards),
            "clock_sm_mhz": _mean(self._each(boards, "nvmlDeviceGetClockInfo", _SM)),
            "clock_memory_mhz": _mean(self._each(boards, "nvmlDeviceGetClockInfo", _MEMORY)),
            "temperature_c": _of_all(self._each(boards, "nvmlDeviceGetTemperature", _ON_DIE), max),
            **self._held_down(boards),
            "neighbours": _of_all([one.neighbours for one in on], sum),
            "whole_device": self._whole,
            "shared_board": any(one.part.cut for one in on),
        }
        return {name: value for name, value in told.items() if value is not None}

    def _memory(self, on: Sequence[Presence]) -> dict[str, float | None]:
        each = [self._memory_of(one.part) for one in on]
        held = _of_all([one.memory_bytes for one in on], sum)
        self._whole = self._whole or held is None  # one series is of one kind
        used = _of_all([one and one.used for one in each], sum)
        return {
            "memory_bytes": used if self._whole else held,
            "memory_reserved_bytes": _of_all([getattr(one, "reserved", None) for one in each], sum),
            "memory_total_bytes": _of_all([one and one.total for one in each], sum),
        }

    def _memory_of(self, part: Part) -> Any:
        told = ask(self._nvml, "nvmlDeviceGetMemoryInfo", part.handle, version=_WITH_RESERVE)
        return ask(self._nvml, "nvmlDeviceGetMemoryInfo", part.handle) if told is None else told

    def _use(self, on: Sequence[Presence]) -> dict[str, float | None]:
        rates = self._each([one.part.handle for one in on], "nvmlDeviceGetUtilizationRates")
        return {
            "utilisation": _mean([one and one.gpu / 100.0 for one in rates]),
            "memory_utilisation": _mean([one and one.memory / 100.0 for one in rates]),
            "process_utilisation": _mean([self._own_use(one) for one in on]),
        }

    def _own_use(self, one: Presence) -> float | None:
        """From the driver's samples since the reading before, which it keeps by process, in its own namespace: where
        none is of a process that it lists as ours, nothing is known. Processes take turns, so their shares add up."""
        since_us = self._last_sample_us.get(one.part.index, 0)
        samples = ask(self._nvml, "nvmlDeviceGetProcessUtilization", one.part.board, since_us) or ()
        mine = [each for each in samples if each.pid in one.pids]
        self._last_sample_us[one.part.index] = max((each.timeStamp for each in samples), default=since_us)
        if not mine or one.part.cut or one.neighbours is None:  # in another namespace a number may be anyone's
            return None
        by_process = {pid: [each.smUtil for each in mine if each.pid == pid] for pid in {each.pid for each in mine}}
        return min(1.0, float(sum(sum(shares) / len(shares) for shares in by_process.values())) / 100.0)

    def _draw(self, on: Sequence[Presence], boards: Sequence[Any]) -> dict[str, float | None]:
        power = self._each(boards, "nvmlDeviceGetPowerUsage")
        limits = self._each(boards, "nvmlDeviceGetEnforcedPowerLimit")
        return {
            "power_w": _of_all([one and one / 1000.0 for one in power], sum),
            "power_limit_w": _of_all([one and one / 1000.0 for one in limits], sum),
            "energy_j": self._energy.read({one.part.index: one.part.board for one in on}),
        }

    def _held_down(self, boards: Sequence[Any]) -> dict[str, float | None]:
        masks = []
        for board in boards:
            told = ask(self._nvml, "nvmlDeviceGetCurrentClocksEventReasons", board)
            masks.append(ask(self._nvml, "nvmlDeviceGetCurrentClocksThrottleReasons", board) if told is None else told)
        return {
            f"throttle_{name}": _mean([None if mask is None else float(bool(mask & bit)) for mask in masks])
            for name, bit in REASONS.items()
        }

    def _each(self, handles: Iterable[Any], function: str, *arguments: Any) -> list[Any]:
        return [ask(self._nvml, function, handle, *arguments) for handle in handles]


@dataclass(slots=True)
class _EnergyMeter:
    """Joules of all boards that were ever asked for, each since it was first read: a counter that never falls."""

    library: Any
    _boards: dict[int, Any] = field(default_factory=dict)
    _first_mj: dict[int, int] = field(default_factory=dict)

    def read(self, boards: dict[int, Any]) -> float | None:
        """None where one of them has no counter."""
        self._boards |= boards
        total_mj = 0
        for index, board in self._boards.items():
            now_mj = ask(self.library, "nvmlDeviceGetTotalEnergyConsumption", board)
            if now_mj is None:
                return None
            total_mj += now_mj - self._first_mj.setdefault(index, now_mj)
        return total_mj / 1000.0


def _of_all(values: Sequence[Any], how: Callable[[Sequence[Any]], float]) -> float | None:
    """None unless every one is known: a sum over some of them would be a wrong number."""
    return None if any(value is None for value in values) else how(values)


def _mean(values: Sequence[float | None]) -> float | None:
    return _of_all(values, lambda known: sum(known) / len(known))


def _identity(pid: int) -> trees.Root:
    who = trees.root(pid)
    if who is None:
        raise ProcessLookupError(f"process {pid} is gone")
    return who
