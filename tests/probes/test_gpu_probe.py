"""Accelerators as a driver tells of them that is made up."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pynvml
import pytest

from proofload.errors import TargetError
from proofload.probes import Subject, _gpu_processes, gpu
from proofload.probes.gpu import GpuProbe
from proofload.testing.fake_nvml import GPU_IS_LOST, Board, FakeNvml

GIB = 1 << 30
ME, STRANGER = os.getpid(), 1


def read(probe: GpuProbe) -> dict[str, float]:
    readings: Iterable[Any] = list(probe.read())
    assert all((one.source, one.arm) == ("gpu", 1) for one in readings)
    assert len({one.name for one in readings}) == len(list(readings))
    return {one.name: one.value for one in readings}


def probed(library: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> GpuProbe:
    monkeypatch.setitem(sys.modules, "pynvml", library)
    probe = gpu.create(Subject(1, pids=(ME,)))
    assert probe is not None
    return probe


def test_a_device_tells_what_its_target_does_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = probed(FakeNvml(Board(held={ME: 2 * GIB}, by_process=((ME, 5, 40),))), monkeypatch)
    assert read(probe) == {
        "devices": 1, "memory_bytes": 2 * GIB, "memory_reserved_bytes": GIB // 2, "memory_total_bytes": 80 * GIB,
        "utilisation": 0.5, "memory_utilisation": 0.2, "process_utilisation": 0.4,
        "power_w": 300, "power_limit_w": 700, "energy_j": 0,
        "clock_sm_mhz": 1800, "clock_memory_mhz": 2600, "temperature_c": 60,
        "throttle_power_cap": 0, "throttle_thermal": 0, "throttle_hardware_thermal": 0,
        "throttle_hardware_slowdown": 0, "throttle_power_brake": 0, "throttle_sync_boost": 0,
        "neighbours": 0, "whole_device": 0, "shared_board": 0,
    }  # fmt: skip


def test_of_several_devices_those_count_that_the_target_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    boards = (
        Board(held={ME: 2 * GIB, STRANGER: 5 * GIB}, milliwatts=200_000, celsius=50),
        Board(held={STRANGER: GIB}, milliwatts=999_000, celsius=99),
        Board(held={ME: GIB}, milliwatts=100_000, celsius=70, gpu=90, reasons=0x24),
    )
    seen = read(probed(FakeNvml(*boards), monkeypatch))
    assert (seen["devices"], seen["memory_bytes"], seen["memory_total_bytes"]) == (2, 3 * GIB, 160 * GIB)
    assert (seen["power_w"], seen["temperature_c"], seen["neighbours"]) == (300, 70, 1)
    assert seen["utilisation"] == pytest.approx(0.7)
    assert (seen["throttle_power_cap"], seen["throttle_thermal"], seen["throttle_sync_boost"]) == (0.5, 0.5, 0)


def test_what_a_device_does_not_support_is_absent_and_never_0(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = frozenset({
        "nvmlDeviceGetPowerUsage", "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceGetClockInfo", "nvmlDeviceGetTemperature", "nvmlDeviceGetProcessUtilization",
        "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons",
        "nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetMigMode",
    })  # fmt: skip
    alone = read(probed(FakeNvml(Board(held={ME: GIB}, silent=silent)), monkeypatch))
    assert alone.keys() == {
        "devices", "memory_bytes", "memory_reserved_bytes", "memory_total_bytes", "power_limit_w", "neighbours",
        "whole_device", "shared_board",
    }  # fmt: skip
    beside = read(probed(FakeNvml(Board(held={ME: GIB}), Board(held={ME: GIB}, silent=silent)), monkeypatch))
    assert "power_w" not in beside, "a sum over one of two boards"


def test_an_older_driver_is_asked_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    class Older(FakeNvml):
        def nvmlDeviceGetMemoryInfo(self, board: Board, version: int | None = None) -> Any:  # noqa: N802
            if version is not None:
                raise self.NVMLError(13)  # FUNCTION_NOT_FOUND
            return super().__getattr__("nvmlDeviceGetMemoryInfo")(board)

    older = frozenset({"nvmlDeviceGetCurrentClocksEventReasons"})
    seen = read(probed(Older(Board(held={ME: GIB}, reasons=0x08, silent=older)), monkeypatch))
    assert seen["throttle_hardware_slowdown"] == 1
    assert seen["memory_total_bytes"] == 80 * GIB
    assert "memory_reserved_bytes" not in seen


def test_energy_counts_from_the_first_reading_of_each_board_and_never_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Board(held={ME: GIB}), Board()
    probe = probed(FakeNvml(first, second), monkeypatch)
    assert read(probe)["energy_j"] == 0
    first.millijoules += 150_000
    second.held[ME] = GIB
    assert read(probe)["energy_j"] == 150
    second.millijoules += 50_000
    del first.held[ME]
    assert read(probe)["energy_j"] == 200, "a board that was left still counts: a counter does not fall"


def test_an_instance_is_read_for_itself_and_its_board_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole_only = frozenset({"nvmlDeviceGetUtilizationRates", "nvmlDeviceGetPowerUsage"})
    mine = Board(held={ME: GIB}, total=10 * GIB, used=3 * GIB, silent=whole_only)
    theirs = Board(held={STRANGER: 4 * GIB}, total=10 * GIB, silent=whole_only)
    seen = read(probed(FakeNvml(Board(instances=(mine, theirs), milliwatts=400_000)), monkeypatch))
    assert (seen["devices"], seen["memory_bytes"], seen["memory_total_bytes"]) == (1, GIB, 10 * GIB)
    assert (seen["power_w"], seen["shared_board"], seen["neighbours"]) == (400, 1, 0)
    assert "utilisation" not in seen


def test_use_by_process_is_the_mean_of_the_samples_since_the_reading_before(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(held={ME: GIB}, by_process=((ME, 5, 40), (STRANGER, 6, 90)))
    probe = probed(FakeNvml(board), monkeypatch)
    assert read(probe)["process_utilisation"] == pytest.approx(0.4)
    assert "process_utilisation" not in read(probe), "no sample since"
    board.by_process = ((ME, 5, 40), (ME, 7, 10), (ME, 8, 20))
    assert read(probe)["process_utilisation"] == pytest.approx(0.15)


def test_where_no_memory_is_told_by_process_the_device_stands_for_it_from_then_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    untold = Board(held={ME: None}, used=10 * GIB)
    probe = probed(FakeNvml(untold, Board(held={ME: GIB}, used=11 * GIB)), monkeypatch)
    assert read(probe)["memory_bytes"] == 21 * GIB
    untold.held[ME] = GIB
    assert (read(probe)["memory_bytes"], read(probe)["whole_device"]) == (21 * GIB, 1)


def test_no_bytes_at_all_is_a_driver_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = read(probed(FakeNvml(Board(held={ME: 0}, used=7 * GIB)), monkeypatch))
    assert (seen["memory_bytes"], seen["whole_device"]) == (7 * GIB, 1)


def test_a_neighbour_is_not_taken_for_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(probed(FakeNvml(Board(held={STRANGER: 5 * GIB})), monkeypatch)) == {"devices": 0}


@pytest.mark.parametrize(("files", "found"), [({1}, 1), ({0, 1}, 0), (set(), 0)])
def test_in_a_namespace_of_its_own_one_open_device_file_tells_the_device_and_several_do_not(
    monkeypatch: pytest.MonkeyPatch, files: set[int], found: int
) -> None:
    monkeypatch.setattr(_gpu_processes, "numbered_as_the_driver", lambda: False)
    monkeypatch.setattr(_gpu_processes, "open_devices", lambda _: files)
    far = 3_000_000  # as the driver numbers it
    boards = (Board(held={far: GIB}, minor=0), Board(held={far: GIB}, minor=1, used=9 * GIB))
    seen = read(probed(FakeNvml(*boards), monkeypatch))
    assert seen["devices"] == found
    if found:
        assert (seen["memory_bytes"], seen["whole_device"], seen["power_w"]) == (9 * GIB, 1, 300)
        assert "neighbours" not in seen
        assert "process_utilisation" not in seen


def test_a_process_number_of_another_namespace_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some drivers list processes in the asker's namespace, without their memory, and keep their use in the first."""
    monkeypatch.setattr(_gpu_processes, "numbered_as_the_driver", lambda: False)
    seen = read(probed(FakeNvml(Board(held={ME: 0}, used=7 * GIB, by_process=((ME, 5, 40),))), monkeypatch))
    assert (seen["devices"], seen["memory_bytes"], seen["whole_device"]) == (1, 7 * GIB, 1)
    assert "process_utilisation" not in seen
    assert "neighbours" not in seen


def test_device_files_are_read_from_the_open_files_of_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, leads_to in enumerate(("/dev/nvidia3", "/dev/nvidiactl", "/dev/nvidia-uvm", "socket:[1]")):
        (tmp_path / str(number)).symlink_to(leads_to)
    monkeypatch.setattr(_gpu_processes, "Path", lambda _: tmp_path)
    assert _gpu_processes.open_devices(ME) == {3}
    monkeypatch.undo()
    assert _gpu_processes.open_devices(2**22 + 1) == set()


def test_without_library_driver_device_or_process_there_is_no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(1, pids=(ME,))
    empty = FakeNvml()
    for library in (FakeNvml(Board(), loaded=False), empty, None):
        monkeypatch.setitem(sys.modules, "pynvml", library)
        assert gpu.create(subject) is None
    assert empty.shut == 1
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(Board()))
    assert gpu.create(Subject(1)) is None


def test_a_device_that_is_lost_at_the_start_or_forbidden_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = FakeNvml(Board(held={ME: GIB}))
    lost.failing = GPU_IS_LOST
    monkeypatch.setitem(sys.modules, "pynvml", lost)
    assert gpu.create(Subject(1, pids=(ME,))) is None
    assert lost.shut == 1

    class Strict(FakeNvml):
        def nvmlDeviceGetHandleByIndex(self, at: int) -> Board:  # noqa: N802
            if at == 0:
                raise self.NVMLError(4)  # NO_PERMISSION
            return self.boards[at]

    assert read(probed(Strict(Board(held={ME: GIB}), Board(held={ME: GIB})), monkeypatch))["devices"] == 1


def test_a_driver_that_stops_answering_is_a_gap_and_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeNvml(Board(held={ME: GIB}))
    probe = probed(library, monkeypatch)
    library.failing = GPU_IS_LOST
    with pytest.raises(TargetError, match="accelerator"):
        read(probe)
    probe.close()
    probe.close()
    assert library.shut == 1


def test_a_target_that_is_gone_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(Board(held={ME: GIB})))
    probe = gpu.create(Subject(1, pids=(2**22 + 1,)))
    assert probe is not None
    with pytest.raises(ProcessLookupError):
        read(probe)


def test_every_function_it_asks_for_is_one_that_the_library_has(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = frozenset({"nvmlDeviceGetCurrentClocksEventReasons"})
    library = FakeNvml(Board(held={ME: GIB}, silent=silent), Board(instances=(Board(held={ME: GIB}),)))
    read(probed(library, monkeypatch))
    assert len(library.asked) > 15
    assert [name for name in library.asked if not hasattr(pynvml, name)] == []
    assert pynvml.nvmlMemory_v2 == gpu._WITH_RESERVE
    bits = {
        "power_cap": "SwPowerCap", "hardware_slowdown": "HwSlowdown", "sync_boost": "SyncBoost",
        "thermal": "SwThermalSlowdown", "hardware_thermal": "HwThermalSlowdown", "power_brake": "HwPowerBrakeSlowdown",
    }  # fmt: skip
    assert {ours: getattr(pynvml, f"nvmlClocksEventReason{theirs}") for ours, theirs in bits.items()} == gpu.REASONS
