"""A driver that fails ends the run as an error of its own: nothing is found of the target, and all is brought back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from proofload.errors import DriverError, TargetError
from proofload.procedures import Bench
from proofload.procedures._rollout.moving import deployed
from proofload.procedures._rollout.settings import RolloutSettings
from proofload.target_model import Target
from proofload.testing.driver_kit import FoundServer
from proofload.watchdog import Watchdog

TARGET = Target.model_validate({"name": "v", "transport": "http", "url": "http://127.0.0.1:9/a"})


class Stage:
    """A bench on which both versions are always up."""

    target = TARGET
    canary = None

    def __init__(self, folder: Path, watchdog: Watchdog) -> None:
        self.folder, self.watchdog = folder, watchdog
        self.stopped: list[int] = []

    def start(self, target: Target, *, arm: int, essential: bool) -> FoundServer:
        assert not essential or arm == 0
        return FoundServer(target)

    def stop(self, arm: int) -> None:
        self.stopped.append(arm)

    def split(self, shares: Mapping[int, float]) -> None: ...

    def aim(self, arm: int, target: Target, *, arm_header: str) -> None: ...

    def note(self, kind: str, **detail: Any) -> None: ...

    def scratch(self, name: str) -> Path:
        return self.folder


def test_a_hook_that_fails_is_no_finding_and_everything_is_brought_back_and_stopped(tmp_path: Path) -> None:
    said = tmp_path / "said"
    hook = ["sh", "-c", f"echo {{percent}} >> {said}; test {{percent}} != 50"]
    scenario = RolloutSettings.model_validate(
        {
            "name": "r",
            "procedure": "blue-green",
            "warmup_s": 0,
            "driver": {"name": "command", "url": "http://127.0.0.1:9/", "move": hook},
        }
    )
    with Watchdog() as watchdog:
        stage = Stage(tmp_path, watchdog)
        with pytest.raises(DriverError, match="ended with status 1") as failure:
            moved(cast("Bench", stage), scenario)
    assert not isinstance(failure.value, TargetError)
    assert said.read_text().split()[-1] == "0"
    assert stage.stopped == [1, 0]


def test_through_a_router_no_answer_is_wrong_for_being_the_other_versions(tmp_path: Path) -> None:
    class Routed(Stage):
        target = TARGET.model_copy(update={"response": TARGET.response.model_copy(update={"expected_version": "v1"})})
        aimed: Target | None = None

        def aim(self, arm: int, target: Target, *, arm_header: str) -> None:
            self.aimed = target

    driver = {"name": "command", "url": "http://127.0.0.1:9/", "move": ["true"], "arm_header": "X-Arm"}
    scenario = RolloutSettings.model_validate({"name": "r", "procedure": "blue-green", "warmup_s": 0, "driver": driver})
    with Watchdog() as watchdog:
        stage = Routed(tmp_path, watchdog)
        moved(cast("Bench", stage), scenario)
    assert stage.aimed is not None
    assert (stage.aimed.url, stage.aimed.response.expected_version) == ("http://127.0.0.1:9/", None)


def moved(bench: Bench, scenario: RolloutSettings) -> None:
    with deployed(bench, scenario) as rollout:
        assert rollout is not None
        rollout.move(0.25)
        rollout.move(0.5)
