"""What these tests need: a device that answers, and an ONNX Runtime built for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from proofload.accelerators import described, opened
from proofload.errors import Unavailable
from proofload_servers.serving import StartupError
from proofload_servers.serving.devices import check_device

REQUIRE_GPU = "PROOFLOAD_REQUIRE_GPU"
"""Set by `make gpu`, where there is a GPU: a missing part is a failure there, not a skip."""


def _missing(reason: str) -> None:
    if os.environ.get(REQUIRE_GPU):
        pytest.fail(f"{reason}, and {REQUIRE_GPU} is set")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def accelerators() -> Mapping[str, Mapping[str, Any]]:
    """The devices, as `described` tells them."""
    try:
        with opened():
            pass
    except Unavailable as problem:
        _missing(f"no GPU: {problem.evidence}")
    return described()


@pytest.fixture
def usable(accelerators: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """`usable("cuda")`: the same word, where a session can be opened on it.

    TensorRT is an addition to the GPU set-up: without it the test is skipped even where a GPU is required.
    """

    def ask(device: str) -> str:
        try:
            check_device(device)
        except StartupError as problem:
            if device == "tensorrt":
                pytest.skip(str(problem))
            _missing(str(problem))
        return device

    return ask


@pytest.fixture(scope="session")
def built_models(checkout: Path) -> Path:
    folder = checkout / "fixtures" / "build"
    if not (folder / "resnet50" / "model.json").is_file():
        pytest.skip(f"no built models in {folder}: make fixtures")
    return folder
