"""NVIDIA accelerators, as the driver's management library tells of them (NVML, through nvidia-ml-py).

One rule holds throughout: what a device does not support, an old driver does not know or a permission keeps back is
None, and never 0.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from proofload.errors import Unavailable

NOT_TOLD = frozenset({3, 4, 6, 13, 21, 25, 26})
"""NVML_ERROR_: NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND, FUNCTION_NOT_FOUND, NO_DATA, ARGUMENT_VERSION_MISMATCH,
DEPRECATED. Every other error (a device that is lost, a driver that does not answer) is one."""

_MIG_ON = 1
_REMEDY = "use --device cpu, or see docs/gpu.md for what a GPU needs"


@dataclass(frozen=True, slots=True)
class Part:
    """Where processes run: a whole device, or an instance that one was cut into (MIG)."""

    index: int
    """Of the device, as the driver counts."""
    board: Any
    """The device's handle, for what only the whole has: power, clocks, temperature."""
    handle: Any
    """That of the instance, or of the device again."""

    @property
    def cut(self) -> bool:
        return self.handle is not self.board


def open_library() -> Any:
    """The management library, initialised; whoever asked shuts it down (`nvmlShutdown`).

    Raises Unavailable, which says what is missing: the Python library, the driver, or a device.
    """
    try:
        library = importlib.import_module("pynvml")
    except ImportError as exc:
        remedy = "pip install nvidia-ml-py"
        raise Unavailable("no accelerator can be read", evidence=f"nvidia-ml-py: {exc}", remedy=remedy) from exc
    try:
        library.nvmlInit()
    except library.NVMLError as exc:
        cause = "there is no NVIDIA driver here, or this container was not given it"
        raise Unavailable("no accelerator can be read", evidence=f"NVML: {exc}", cause=cause, remedy=_REMEDY) from exc
    try:
        if library.nvmlDeviceGetCount() > 0:
            return library
        evidence = "NVML: the driver answers and knows no device"
    except library.NVMLError as exc:
        evidence = f"NVML: {exc}"
    shut(library)
    raise Unavailable("no accelerator can be read", evidence=evidence, remedy=_REMEDY)


def shut(library: Any) -> None:
    with suppress(library.NVMLError):
        library.nvmlShutdown()


@contextmanager
def opened() -> Iterator[Any]:
    """`open_library` for the length of a block."""
    library = open_library()
    try:
        yield library
    finally:
        shut(library)


def ask(library: Any, function: str, *arguments: Any, **named: Any) -> Any:
    """What a function answers; None where that is not told (see NOT_TOLD). Raises the library's NVMLError."""
    call = getattr(library, function, None)
    if call is None:  # an nvidia-ml-py from before it
        return None
    try:
        return call(*arguments, **named)
    except library.NVMLError as exc:
        if getattr(exc, "value", None) in NOT_TOLD:
            return None
        raise


def parts(library: Any) -> tuple[Part, ...]:
    """Every device, or in its place the instances it was cut into, as far as this process may see them."""
    found: list[Part] = []
    for index in range(library.nvmlDeviceGetCount()):
        board = ask(library, "nvmlDeviceGetHandleByIndex", index)
        if board is None:  # a device that this process may not touch
            continue
        instances = _instances(library, board)
        found += [Part(index, board, handle) for handle in instances] or [Part(index, board, board)]
    return tuple(found)


def described() -> Mapping[str, Mapping[str, Any]]:
    """What the devices are, by index, for the record of a run; empty where there are none to be seen."""
    try:
        with opened() as library:
            driver = _text(ask(library, "nvmlSystemGetDriverVersion"))
            found: dict[str, Mapping[str, Any]] = {}
            for index in range(library.nvmlDeviceGetCount()):
                found[str(index)] = _one(library, library.nvmlDeviceGetHandleByIndex(index), driver)
            return found
    except Unavailable:
        return {}
    except Exception:  # noqa: BLE001  a broken driver fails in many ways, and a run of something else goes on
        return {}


def _one(library: Any, board: Any, driver: str | None) -> Mapping[str, Any]:
    memory = ask(library, "nvmlDeviceGetMemoryInfo", board)
    capability = ask(library, "nvmlDeviceGetCudaComputeCapability", board)
    limit = ask(library, "nvmlDeviceGetEnforcedPowerLimit", board)
    told = {
        "name": _text(ask(library, "nvmlDeviceGetName", board)),
        "memory_gib": None if memory is None else round(memory.total / 2**30, 1),
        "compute_capability": None if capability is None else ".".join(map(str, capability)),
        "power_limit_w": None if limit is None else limit / 1000.0,
        "instances": len(_instances(library, board)) or None,
        "driver": driver,
    }
    return {name: value for name, value in told.items() if value is not None}


def _instances(library: Any, board: Any) -> list[Any]:
    """Handles of the instances of a device; empty where it is not cut."""
    mode = ask(library, "nvmlDeviceGetMigMode", board)
    if mode is None or mode[0] != _MIG_ON:
        return []
    most = ask(library, "nvmlDeviceGetMaxMigDeviceCount", board) or 0
    each = (ask(library, "nvmlDeviceGetMigDeviceHandleByIndex", board, at) for at in range(most))
    return [handle for handle in each if handle is not None]


def _text(told: Any) -> str | None:
    return told.decode() if isinstance(told, bytes) else told
