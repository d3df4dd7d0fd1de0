"""Rollouts moved by commands: what they are given, what becomes of one that fails, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proofload.drivers import Stage, command
from proofload.errors import DriverError, InputError
from proofload.target_model import Target
from proofload.testing.driver_kit import FoundServer
from proofload.watchdog import Watchdog

ROUTER = "http://127.0.0.1:9/router"


def moved(folder: Path, shares: tuple[float, ...] = (), **settings: Any) -> list[str]:
    """The lines that the commands wrote into `said`, after a rollout over these shares."""
    said = folder / "said"
    told = {"url": ROUTER, "move": ["sh", "-c", f"echo move {{percent}} {{share}} >> {said}"], **settings}
    target = Target.model_validate({"name": "v", "transport": "http", "url": "http://127.0.0.1:9/a"})
    try:
        with Watchdog() as watchdog:
            stage = Stage(FoundServer(target), FoundServer(target), lambda shares: None, folder, watchdog, salt="s")
            with command.create(told).open(stage) as traffic:
                assert traffic.route.target is not None
                assert traffic.route.target.url == ROUTER
                for share in shares:
                    traffic.move(share)
    finally:
        lines = said.read_text().splitlines() if said.exists() else []
        (folder / "lines").write_text("\n".join(lines))
    return lines


def test_shares_are_given_as_percent_and_as_share(tmp_path: Path) -> None:
    assert moved(tmp_path, (0.05, 1.0)) == ["move 0 0", "move 5 0.05", "move 100 1", "move 0 0"]


def test_the_way_back_has_its_own_command(tmp_path: Path) -> None:
    back = ["sh", "-c", f"echo back >> {tmp_path}/said"]
    assert moved(tmp_path, (0.5,), back=back) == ["move 0 0", "move 50 0.5", "back"]


def test_the_way_back_is_taken_after_a_failure_too(tmp_path: Path) -> None:
    script = f"echo move {{percent}} >> {tmp_path}/said; echo no such weight; test {{percent}} = 0"
    with pytest.raises(DriverError, match="ended with status 1") as failure:
        moved(tmp_path, (0.5,), move=["sh", "-c", script])
    assert "no such weight" in failure.value.evidence
    assert (tmp_path / "lines").read_text().splitlines() == ["move 0", "move 50", "move 0"]


def test_a_command_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match=r"did not end in 0\.3 s"):
        moved(tmp_path, move=["sleep", "60"], back=["true"], timeout_s=0.3)


def test_a_move_waits_for_its_check(tmp_path: Path) -> None:
    counting = f"echo checked >> {tmp_path}/said; test $(grep -c checked {tmp_path}/said) -ge 2"
    assert moved(tmp_path, check=["sh", "-c", counting]) == ["move 0 0", "checked", "checked", "move 0 0"]


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="cannot be run"):
        moved(tmp_path, move=["no-such-program-anywhere"])


def test_what_commands_wrote_is_kept(tmp_path: Path) -> None:
    moved(tmp_path, (0.25,), move=["echo", "weight", "{percent}"])
    assert sorted(path.read_text() for path in tmp_path.glob("*-move.log")) == ["weight 0\n", "weight 25\n"]


@pytest.mark.parametrize("settings", [{"move": ["true"]}, {"url": ROUTER}, {"url": ROUTER, "move": []}])
def test_what_is_missing_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"driver\."):
        command.create(settings)
