"""A rollout of the user's own, moved by commands: kubectl, Argo, a script.

    [driver]
    name = "command"
    url = "http://router.example/v1/predict"                                     # where the traffic goes in
    move = ["kubectl", "set", "weight", "--canary={percent}"]                     # gives the canary its share
    check = ["sh", "-c", "test $(current-weight) = {percent}"]                    # ends with 0 once it is so
    back = ["kubectl", "set", "weight", "--canary=0"]                             # always run at the end
    arm_header = "X-Version"          # its value, "canary" or "baseline", says who answered; absent: the version stamp
    timeout_s = 60

{percent} is 0 to 100, {share} 0 to 1. Without `back`, `move` is run with 0. Each command runs in the folder that
proofload was started in, without a shell; what it wrote is kept in the run folder.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from proofload.drivers import Route, Stage
from proofload.errors import DriverError
from proofload.target_model import Target
from proofload.toml_input import Table, validated
from proofload.watchdog import Watchdog

_CHECK_EVERY_S = 0.5
_SHOWN_CHARS = 2000
Command = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


class Settings(Table):
    """[driver] of a scenario, without its name."""

    url: Annotated[str, Field(min_length=1)]
    move: Command
    check: Annotated[tuple[str, ...], Field(strict=False)] = ()
    back: Annotated[tuple[str, ...], Field(strict=False)] = ()
    arm_header: str = ""
    user_header: str | None = None
    """The header by which the router tells users apart; None: the target's request.user_header."""
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0


def create(settings: Mapping[str, Any]) -> CommandDriver:
    return CommandDriver(validated(Settings, settings, "the scenario", prefix="driver."))


class CommandDriver:
    """See `proofload.drivers.Driver`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def open(self, stage: Stage) -> AbstractContextManager[CommandTraffic]:
        return self._opened(stage)

    @contextmanager
    def _opened(self, stage: Stage) -> Iterator[CommandTraffic]:
        settings = self._settings
        hooks = Hooks(stage.folder, stage.watchdog, settings.timeout_s)
        traffic = CommandTraffic(settings, hooks, _router(stage.baseline.target, settings))
        try:
            traffic.move(0.0)
            yield traffic
        finally:
            hooks.run("back", settings.back or settings.move, 0.0)


class CommandTraffic:
    """See `proofload.drivers.Traffic`."""

    def __init__(self, settings: Settings, hooks: Hooks, router: Target) -> None:
        self._settings = settings
        self._hooks = hooks
        self.route = Route(router, settings.arm_header)

    def move(self, canary_share: float) -> None:
        self._hooks.run("move", self._settings.move, canary_share)
        if self._settings.check:
            self._hooks.until_it_succeeds("check", self._settings.check, canary_share)


class Hooks:
    """Runs commands, each with its time and its output in a file of its own."""

    def __init__(self, folder: Path, watchdog: Watchdog, timeout_s: float) -> None:
        self._folder = folder
        self._watchdog = watchdog
        self._timeout_s = timeout_s
        self._numbers = itertools.count(1)

    def run(self, name: str, command: Sequence[str], share: float) -> None:
        """Raises DriverError, with the end of what it wrote, unless it ends with 0 in time."""
        status, log = self._ran(name, command, share, self._timeout_s)
        if status != 0:
            raise self._failed(name, command, share, status, log)

    def until_it_succeeds(self, name: str, command: Sequence[str], share: float) -> None:
        """Again and again, until it ends with 0. Raises DriverError when time is up."""
        patience = time.monotonic() + self._timeout_s
        while True:
            status, log = self._ran(name, command, share, max(0.1, patience - time.monotonic()))
            if status == 0:
                return
            if time.monotonic() >= patience:
                raise self._failed(name, command, share, status, log)
            time.sleep(_CHECK_EVERY_S)

    def _ran(self, name: str, command: Sequence[str], share: float, timeout_s: float) -> tuple[int | None, Path]:
        """The exit status, None where time was up, and what it wrote."""
        log = self._folder / f"{next(self._numbers):03d}-{name}.log"
        arguments = _filled(command, share)
        with log.open("wb") as output:
            try:
                process = subprocess.Popen(
                    arguments,
                    env={**os.environ, **self._watchdog.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            except OSError as exc:
                raise DriverError(
                    f"the driver's `{name}` command cannot be run: {exc.strerror}",
                    evidence=subprocess.list2cmdline(arguments),
                    remedy=f"correct [driver] {name}; names are looked up in PATH",
                ) from exc
            self._watchdog.adopt(process)
            try:
                return process.wait(timeout_s), log
            except subprocess.TimeoutExpired:
                return None, log
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
                self._watchdog.release(process.pid)

    def _failed(self, name: str, command: Sequence[str], share: float, status: int | None, log: Path) -> DriverError:
        ended = f"did not end in {self._timeout_s:g} s" if status is None else f"ended with status {status}"
        wrote = log.read_text(encoding="utf-8", errors="replace")[-_SHOWN_CHARS:].strip()
        return DriverError(
            f"the driver's `{name}` command {ended}",
            evidence=f"{subprocess.list2cmdline(_filled(command, share))}\n{wrote or 'it wrote nothing'}",
            remedy=f"try it by hand; what it wrote is kept in {log}",
        )


def _filled(command: Sequence[str], share: float) -> list[str]:
    percent = f"{100.0 * share:.6g}"
    return [part.replace("{percent}", percent).replace("{share}", f"{share:.6g}") for part in command]


def _router(baseline: Target, settings: Settings) -> Target:
    """The baseline as it is reached through the router."""
    request = baseline.request
    if settings.user_header is not None:
        request = request.model_copy(update={"user_header": settings.user_header})
    return baseline.model_copy(update={"url": settings.url, "request": request})
