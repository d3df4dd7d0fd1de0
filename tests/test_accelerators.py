"""What is told of accelerators, and what is said where there are none."""

from __future__ import annotations

import sys
from pathlib import Path

import pynvml
import pytest

from proofload import accelerators
from proofload.errors import Unavailable
from proofload.testing.fake_nvml import GPU_IS_LOST, NOT_SUPPORTED, Board, FakeNvml, FakeNvmlError


def installed(monkeypatch: pytest.MonkeyPatch, library: FakeNvml | None) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", library)


@pytest.mark.parametrize(
    ("library", "evidence"),
    [(None, "nvidia-ml-py"), (FakeNvml(loaded=False), "NVML"), (FakeNvml(), "knows no device")],
)
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, library: FakeNvml | None, evidence: str) -> None:
    installed(monkeypatch, library)
    with pytest.raises(Unavailable, match=evidence) as refusal:
        accelerators.open_library()
    assert refusal.value.remedy
    assert accelerators.described() == {}


def test_devices_are_described_and_the_library_is_shut_again(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeNvml(Board(name="Imaginary 9"), Board(instances=(Board(), Board())))
    installed(monkeypatch, library)
    told = accelerators.described()
    whole = {"name": "Imaginary 9", "memory_gib": 80.0, "compute_capability": "9.0", "power_limit_w": 700.0}
    assert told == {"0": {**whole, "driver": "610.01"}, "1": {**whole, "instances": 2, "driver": "610.01"}}
    assert library.shut == 1


def test_what_a_device_keeps_back_is_left_out_and_a_lost_one_spoils_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeNvml(Board(silent=frozenset({"nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetMemoryInfo"})))
    installed(monkeypatch, library)
    assert accelerators.described()["0"].keys() == {"name", "compute_capability", "driver"}
    library.failing = GPU_IS_LOST
    assert accelerators.described() == {}


def test_only_what_is_not_told_is_none() -> None:
    library = FakeNvml(Board(silent=frozenset({"nvmlDeviceGetPowerUsage"})))
    (board,) = library.boards
    assert accelerators.ask(library, "nvmlDeviceGetPowerUsage", board) is None
    assert accelerators.ask(library, "nvmlDeviceGetSomethingNewer", board) is None
    library.failing = GPU_IS_LOST
    with pytest.raises(FakeNvmlError):
        accelerators.ask(library, "nvmlDeviceGetName", board)


def test_the_numbers_are_the_librarys() -> None:
    names = {
        "NOT_SUPPORTED", "NO_PERMISSION", "NOT_FOUND", "FUNCTION_NOT_FOUND", "NO_DATA", "ARGUMENT_VERSION_MISMATCH",
        "DEPRECATED",
    }  # fmt: skip
    assert {getattr(pynvml, f"NVML_ERROR_{name}") for name in names} == accelerators.NOT_TOLD
    assert pynvml.NVML_ERROR_NOT_SUPPORTED == NOT_SUPPORTED
    assert pynvml.NVML_DEVICE_MIG_ENABLE == 1


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is an NVIDIA driver here")
def test_the_real_library_without_a_driver_says_so() -> None:
    with pytest.raises(Unavailable, match="NVML"):
        accelerators.open_library()
