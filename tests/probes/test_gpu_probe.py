"""Accelerators as a driver tells of them that is made up here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from proofload.errors import TargetError
from proofload.probes import Subject, gpu
from proofload.probes.gpu import GpuProbe

GIB = 1 << 30
ME, STRANGER = os.getpid(), 1


class NVMLError(Exception):
    """As the library has it."""


class Driver:
    """Two devices; `held` is bytes by process of each, None where the driver does not tell them."""

    NVMLError = NVMLError

    def __init__(self, *held: dict[int, int | None], broken: bool = False) -> None:
        self.held = list(held)
        self.broken = broken
        self.shut = 0

    def nvmlInit(self) -> None:  # noqa: N802  the library's own names, here and below
        if self.broken:
            raise NVMLError("driver not loaded")

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.shut += 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.held)

    def nvmlDeviceGetHandleByIndex(self, at: int) -> int:  # noqa: N802
        return at

    def nvmlDeviceGetComputeRunningProcesses(self, at: int) -> list[Any]:  # noqa: N802
        return [SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in self.held[at].items()]

    def nvmlDeviceGetGraphicsRunningProcesses(self, at: int) -> list[Any]:  # noqa: N802
        raise NVMLError(f"device {at} does not support it")

    def nvmlDeviceGetMemoryInfo(self, at: int) -> Any:  # noqa: N802
        if self.broken:
            raise NVMLError("fallen off the bus")
        return SimpleNamespace(total=80 * GIB, used=(10 + at) * GIB)

    def nvmlDeviceGetUtilizationRates(self, at: int) -> Any:  # noqa: N802
        return SimpleNamespace(gpu=50 + 10 * at)


def read(probe: GpuProbe) -> dict[str, float]:
    readings: Iterable[Any] = list(probe.read())
    assert all((one.source, one.arm) == ("gpu", 1) for one in readings)
    return {one.name: one.value for one in readings}


def probed(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> GpuProbe | None:
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    return gpu.create(Subject(1, pids=(ME,)))


def test_only_what_the_target_holds_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = probed(Driver({ME: 2 * GIB, STRANGER: 5 * GIB}, {STRANGER: GIB}), monkeypatch)
    assert probe is not None
    assert read(probe) == {
        "devices": 1, "memory_bytes": 2 * GIB, "memory_total_bytes": 80 * GIB, "utilisation": 0.5, "whole_device": 0,
    }  # fmt: skip


def test_where_no_memory_is_told_by_process_the_device_stands_for_it_from_then_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = Driver({ME: None}, {ME: GIB})
    probe = probed(driver, monkeypatch)
    assert probe is not None
    assert read(probe)["memory_bytes"] == 21 * GIB
    driver.held[0] = {ME: GIB}
    assert (read(probe)["memory_bytes"], read(probe)["whole_device"]) == (21 * GIB, 1)


def test_a_neighbour_is_not_taken_for_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = probed(Driver({STRANGER: 5 * GIB}), monkeypatch)
    assert probe is not None
    assert read(probe) == {"devices": 0}


def test_without_library_driver_device_or_process_there_is_no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    assert probed(Driver({}, broken=True), monkeypatch) is None
    empty = Driver()
    assert probed(empty, monkeypatch) is None
    assert empty.shut == 1
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu.create(Subject(1, pids=(ME,))) is None
    monkeypatch.setitem(sys.modules, "pynvml", Driver({}))
    assert gpu.create(Subject(1)) is None


def test_a_driver_that_stops_answering_is_a_gap_and_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver({ME: GIB})
    probe = probed(driver, monkeypatch)
    assert probe is not None
    driver.broken = True
    with pytest.raises(TargetError, match="accelerator"):
        read(probe)
    probe.close()
    probe.close()
    assert driver.shut == 1


def test_a_target_that_is_gone_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Driver({ME: GIB}))
    probe = gpu.create(Subject(1, pids=(2**22 + 1,)))
    assert probe is not None
    with pytest.raises(ProcessLookupError):
        read(probe)
