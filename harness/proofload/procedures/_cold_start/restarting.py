"""How an instance is brought up: by the lab, or by the command of a scenario whose target lives elsewhere."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from proofload.clock import NS_PER_S, Clock
from proofload.errors import InputError, TargetError
from proofload.procedures import Bench
from proofload.runtimes import Server
from proofload.runtimes._readiness import Readiness
from proofload.target_model import Target

if TYPE_CHECKING:
    from proofload.procedures._cold_start.settings import Settings

_WHY = "a cold start is seen by restarting the target, and this one was started elsewhere"
_NEXT = (
    "write a target file with [start], or name a command that restarts it: "
    """--set 'restart=["systemctl", "restart", "scorer"]'"""
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One attempt: the server and its instants, or why there is none."""

    server: Server | None
    timeline: Mapping[str, int]
    """spawn_ns, port_bound_ns, live_ns, ready_ns, those that were seen."""
    took_s: float
    problem: TargetError | None = None

    @property
    def died(self) -> bool:
        return self.problem is not None and "was not ready after" not in self.problem.what


class Start(Protocol):
    @property
    def can_have_a_second(self) -> bool:
        """Whether two instances can be up at once."""

    def __call__(self, arm: int = 0, env: Mapping[str, str] | None = None) -> Arrival: ...


def restarter(bench: Bench, scenario: Settings, clock: Clock) -> Start:
    """Raises InputError for a target that cannot be restarted, or not in the conditions that the scenario wants."""
    target = bench.target
    if target is None:
        raise InputError("a cold start needs a target", remedy="name one with --target")
    if scenario.restart:
        return ByCommand(bench, target, scenario.restart, scenario.ready_limit_s * scenario.patience, clock)
    if target.is_external:
        raise InputError(f"{target.name} cannot be restarted", evidence=_WHY, remedy=_NEXT)
    if scenario.compile_cache_env and bench.circumstances().runtime == "container":
        raise InputError(
            f"the compile cache of {target.name} cannot be emptied and filled again in a container",
            evidence=f"compile_cache_env = {scenario.compile_cache_env!r} is to name folders of this run, on this host",
            cause="a container sees nothing of them",
            remedy="use `--runtime process`; or leave compile_cache_env out: what its volumes hold is then as found",
        )
    return ByTheLab(bench, target, scenario.ready_limit_s * scenario.patience, clock)


@dataclass(frozen=True, slots=True)
class ByTheLab:
    bench: Bench
    target: Target
    patience_s: float
    clock: Clock

    @property
    def can_have_a_second(self) -> bool:
        return "" in self.target.ports()

    def __call__(self, arm: int = 0, env: Mapping[str, str] | None = None) -> Arrival:
        began = self.clock.now_ns()
        try:
            server = self.bench.start(self._patient(), arm=arm, essential=arm == 0, env=env)
        except TargetError as exc:
            self.bench.stop(arm)  # it may be up, and its transport cannot be opened
            return Arrival(None, {"spawn_ns": began}, (self.clock.now_ns() - began) / NS_PER_S, exc)
        if "ready_ns" not in server.timeline:
            raise InputError(f"{self.target.name} was found running", evidence=_WHY, remedy=_NEXT)
        return Arrival(server, dict(server.timeline), (self.clock.now_ns() - began) / NS_PER_S)

    def _patient(self) -> Target:
        """The scenario says how long a start is waited for, whichever runtime it is that waits."""
        tables = {name: getattr(self.target, name) for name in ("start", "container")}
        longer = {"ready_timeout_s": self.patience_s}
        changes = {name: table.model_copy(update=longer) for name, table in tables.items() if table is not None}
        return self.target.model_copy(update=changes)


@dataclass(frozen=True, slots=True)
class ByCommand:
    bench: Bench
    target: Target
    command: tuple[str, ...]
    patience_s: float
    clock: Clock
    can_have_a_second: bool = False

    def __call__(self, arm: int = 0, env: Mapping[str, str] | None = None) -> Arrival:
        del env  # the command's own affair
        timeline = {"spawn_ns": self.clock.now_ns()}
        self._run()
        began = timeline["spawn_ns"]
        watched = Readiness(self.target, self.clock, timeline)
        ready = watched.wait(self.patience_s, lambda: None)
        took_s = (self.clock.now_ns() - began) / NS_PER_S
        if not ready:
            late = TargetError(
                f"target {self.target.name} was not ready after {self.patience_s:g} s", evidence=watched.last
            )
            return Arrival(None, timeline, took_s, late)
        return Arrival(self.bench.start(self.target, arm=arm), timeline, took_s)

    def _run(self) -> None:
        words = subprocess.list2cmdline(self.command)
        try:
            done = subprocess.run(
                list(self.command),
                check=False,
                timeout=self.patience_s,
                capture_output=True,
                text=True,
                errors="replace",
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise InputError(
                f"the restart command `{words}` did not work",
                evidence=str(exc),
                remedy="run it by hand; it must return once the old instance is gone",
            ) from exc
        if done.returncode:
            raise InputError(
                f"the restart command `{words}` failed with exit code {done.returncode}",
                evidence=(done.stderr or done.stdout)[-2000:],
                remedy="run it by hand; it must return once the old instance is gone",
            )
