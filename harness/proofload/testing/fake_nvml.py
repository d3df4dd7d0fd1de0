"""A driver's management library that is made up: boards, processes on them and what they tell, as a test sets it.

    library = FakeNvml(Board(held={pid: 2 << 30}), Board(silent={"nvmlDeviceGetPowerUsage"}))
    monkeypatch.setitem(sys.modules, "pynvml", library)

Functions and fields have the names of nvidia-ml-py; a handle is the Board itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

NOT_SUPPORTED, NOT_FOUND, DRIVER_NOT_LOADED, GPU_IS_LOST = 3, 6, 9, 15
_GIB = 1 << 30


class FakeNvmlError(Exception):
    """Its `value` is NVML's number, as in nvidia-ml-py."""

    def __init__(self, value: int) -> None:
        super().__init__(f"NVML error {value}")
        self.value = value


@dataclass(slots=True, eq=False)
class Board:
    """One device, or an instance of one. Units are NVML's: bytes, percent, milliwatts, millijoules, MHz, °C."""

    held: dict[int, int | None] = field(default_factory=dict)
    """Bytes by process; None where the driver knows the process and not its memory."""
    name: str = "Imaginary 9"
    total: int = 80 * _GIB
    used: int = 10 * _GIB
    reserved: int = _GIB // 2
    gpu: int = 50
    memory: int = 20
    milliwatts: int = 300_000
    limit_milliwatts: int = 700_000
    millijoules: int = 5_000_000
    clocks: Mapping[int, int] = field(default_factory=lambda: {1: 1800, 2: 2600})
    celsius: int = 60
    reasons: int = 0
    minor: int = 0
    by_process: Sequence[tuple[int, int, int]] = ()
    """Samples of use by process: (pid, microseconds, percent)."""
    instances: Sequence[Board] = ()
    silent: frozenset[str] = frozenset()
    """Functions that it does not support."""


class FakeNvml:
    """Stands in for the module pynvml. `failing`: what every question to a device raises."""

    NVMLError = FakeNvmlError

    def __init__(self, *boards: Board, loaded: bool = True) -> None:
        self.boards = boards
        self.failing: int | None = None
        self.shut = 0
        self.asked: set[str] = set()
        """The functions that were called."""
        self._loaded = loaded

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__") or not name.startswith("nvml"):
            raise AttributeError(name)
        if name not in _ANSWERS and name not in _OF_THE_DRIVER:
            raise AttributeError(name)

        def call(*arguments: Any, **named: Any) -> Any:
            self.asked.add(name)
            if name in _OF_THE_DRIVER:
                return _OF_THE_DRIVER[name](self, *arguments)
            if self.failing is not None:
                raise FakeNvmlError(self.failing)
            board: Board = arguments[0]
            if name in board.silent:
                raise FakeNvmlError(NOT_SUPPORTED)
            return _ANSWERS[name](board, *arguments[1:], **named)

        return call


def _init(library: FakeNvml) -> None:
    if not library._loaded:
        raise FakeNvmlError(DRIVER_NOT_LOADED)


def _shutdown(library: FakeNvml) -> None:
    library.shut += 1


_OF_THE_DRIVER: Mapping[str, Callable[..., Any]] = {
    "nvmlInit": _init,
    "nvmlShutdown": _shutdown,
    "nvmlDeviceGetCount": lambda library: len(library.boards),
    "nvmlDeviceGetHandleByIndex": lambda library, at: library.boards[at],
    "nvmlSystemGetDriverVersion": lambda _: "610.01",
}


def _processes(board: Board) -> list[SimpleNamespace]:
    held = {**board.held, **{pid: bytes_ for one in board.instances for pid, bytes_ in one.held.items()}}
    return [SimpleNamespace(pid=pid, usedGpuMemory=bytes_) for pid, bytes_ in held.items()]


def _memory(board: Board, version: int | None = None) -> SimpleNamespace:
    told = SimpleNamespace(total=board.total, used=board.used)
    if version is not None:
        told.reserved = board.reserved
    return told


def _samples(board: Board, since_us: int) -> list[SimpleNamespace]:
    found = [one for one in board.by_process if one[1] > since_us]
    if not found:
        raise FakeNvmlError(NOT_FOUND)
    return [SimpleNamespace(pid=pid, timeStamp=at_us, smUtil=percent) for pid, at_us, percent in found]


def _instance(board: Board, at: int) -> Board:
    if at >= len(board.instances):
        raise FakeNvmlError(NOT_FOUND)
    return board.instances[at]


def _mig_mode(board: Board) -> tuple[int, int]:
    return (1, 1) if board.instances else (0, 0)


_ANSWERS: Mapping[str, Callable[..., Any]] = {
    "nvmlDeviceGetComputeRunningProcesses_v3": _processes,
    "nvmlDeviceGetGraphicsRunningProcesses_v3": lambda _: [],
    "nvmlDeviceGetMPSComputeRunningProcesses_v3": lambda _: [],
    "nvmlDeviceGetMemoryInfo": _memory,
    "nvmlDeviceGetUtilizationRates": lambda board: SimpleNamespace(gpu=board.gpu, memory=board.memory),
    "nvmlDeviceGetProcessUtilization": _samples,
    "nvmlDeviceGetPowerUsage": lambda board: board.milliwatts,
    "nvmlDeviceGetEnforcedPowerLimit": lambda board: board.limit_milliwatts,
    "nvmlDeviceGetTotalEnergyConsumption": lambda board: board.millijoules,
    "nvmlDeviceGetClockInfo": lambda board, which: board.clocks[which],
    "nvmlDeviceGetTemperature": lambda board, _: board.celsius,
    "nvmlDeviceGetCurrentClocksEventReasons": lambda board: board.reasons,
    "nvmlDeviceGetCurrentClocksThrottleReasons": lambda board: board.reasons,
    "nvmlDeviceGetMinorNumber": lambda board: board.minor,
    "nvmlDeviceGetName": lambda board: board.name,
    "nvmlDeviceGetCudaComputeCapability": lambda _: (9, 0),
    "nvmlDeviceGetMigMode": _mig_mode,
    "nvmlDeviceGetMaxMigDeviceCount": lambda _: 7,
    "nvmlDeviceGetMigDeviceHandleByIndex": _instance,
}
