"""Every runtime that is found passes the kit; a new file in runtimes/ is tested unasked."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from proofload import discovery
from proofload.runtimes import Placement, Server
from proofload.runtimes.process import ProcessRuntime
from proofload.target_model import Target
from proofload.testing import runtime_kit
from proofload.testing.runtime_kit import RuntimeCase

NEEDS_MORE = {"container"}
"""Tested in their own files, with what they need."""

RUNTIMES = [name for name in discovery.implementations("runtime") if name not in NEEDS_MORE]


def test_the_runtimes_are_found() -> None:
    assert {"process", "external"} <= set(RUNTIMES)


@pytest.mark.real
@pytest.mark.parametrize("claim", runtime_kit.CLAIMS, ids=runtime_kit.claim_name)
@pytest.mark.parametrize("name", RUNTIMES)
def test_it_conforms(name: str, claim: Callable[[RuntimeCase], None], tmp_path: Path) -> None:
    module = discovery.module_for("runtime", name)
    claim(RuntimeCase(module.create(), getattr(module, "STARTS_TARGETS", True), tmp_path))


@pytest.mark.real
def test_the_kit_catches_a_runtime_that_leaves_its_target_behind(tmp_path: Path) -> None:
    kept: list[AbstractContextManager[Server]] = []

    class Forgetful:
        def start(self, target: Target, placement: Placement) -> AbstractContextManager[Server]:
            held = ProcessRuntime().start(target, placement)
            kept.append(held)
            return nullcontext(held.__enter__())  # and nobody leaves it

    case = RuntimeCase(Forgetful(), starts_targets=True, folder=tmp_path)
    with pytest.raises(AssertionError):
        runtime_kit.nothing_it_started_outlives_the_block(case)
    kept[0].__exit__(None, None, None)


@pytest.mark.real
def test_the_kit_catches_what_only_the_watchdog_ends(tmp_path: Path) -> None:
    class Forgetful:
        def start(self, target: Target, placement: Placement) -> AbstractContextManager[Server]:
            assert placement.watchdog is not None
            placement.watchdog.adopt(left)  # without the lab's marker, as a container's process is
            return ProcessRuntime().start(target, placement)

    with subprocess.Popen(["sleep", "600"]) as left, pytest.raises(AssertionError, match="the watchdog had to end"):
        runtime_kit.nothing_it_started_outlives_the_block(
            RuntimeCase(Forgetful(), starts_targets=True, folder=tmp_path)
        )


@pytest.mark.real
def test_the_kit_catches_a_runtime_that_notices_no_death(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proofload.testing.eventually.PATIENCE_S", 1.0)
    monkeypatch.setattr("proofload.runtimes._started.Started.check_alive", lambda _: None)
    with pytest.raises(AssertionError, match="check_alive"):
        runtime_kit.a_dead_target_is_noticed(RuntimeCase(ProcessRuntime(), starts_targets=True, folder=tmp_path))
