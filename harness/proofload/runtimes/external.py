"""A target that is running already: checked to be there, never started, pinned or stopped."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from proofload import _process_trees as trees
from proofload.clock import Clock, MonotonicClock
from proofload.errors import TargetError
from proofload.runtimes import Placement, Server
from proofload.runtimes._broker import refuse_bringing
from proofload.runtimes._filling import known_values, refuse_unfilled
from proofload.runtimes._listener import listener
from proofload.runtimes._readiness import Address, Readiness, watched_address
from proofload.target_model import Target

STARTS_TARGETS = False
PATIENCE_S = 3.0
_FAR = (
    "is not a loopback address: the network between is part of what is measured, "
    "and the load reaches a machine that others may depend on"
)


def create() -> ExternalRuntime:
    return ExternalRuntime()


@dataclass(frozen=True, slots=True)
class ExternalRuntime:
    """`patience_s`: how long a target that is not ready may take to become so."""

    clock: Clock = field(default_factory=MonotonicClock)
    patience_s: float = PATIENCE_S

    def start(self, target: Target, placement: Placement) -> AbstractContextManager[Server]:
        return self._found(target, placement)

    @contextmanager
    def _found(self, target: Target, placement: Placement) -> Iterator[Server]:
        refuse_bringing(target)
        filled = target.filled(known_values(target, placement))
        refuse_unfilled(filled, "nothing is started for an external target, so only you know it")
        who = _process(filled)
        address = Address.of(filled.url)
        readiness = Readiness(filled, self.clock, {})
        if not readiness.wait(self.patience_s, lambda: None) or (filled.ready_url is None and address.accepts()):
            raise TargetError(
                f"target {filled.name} cannot be reached at {filled.url}",
                evidence=readiness.last,
                cause="it is not running, not ready yet, or listens elsewhere",
                remedy="start it, correct its url or health.ready, or add [start] so that proofload starts it",
            )
        yield Found(filled, who, self.clock.now_ns(), seen_pid=_seen(filled) if who is None else None)


@dataclass(frozen=True, slots=True)
class Found:
    """A running target (see the protocol `Server`)."""

    target: Target
    who: trees.Root | None
    seen_ns: int
    seen_pid: int | None = None
    """Who listens at the target's address, where no pid was given: enough to probe, too little to be its life."""

    @property
    def pids(self) -> Sequence[int]:
        if self.who is not None:
            return (self.who.pid,)
        return () if self.seen_pid is None else (self.seen_pid,)

    @property
    def container_id(self) -> str:
        return ""

    @property
    def timeline(self) -> Mapping[str, int]:
        """Empty: nobody saw it come up."""
        return {}

    @property
    def cpus(self) -> Sequence[int]:
        """The cores its process may use; unknown without `probe.pid`."""
        try:
            return tuple(sorted(os.sched_getaffinity(self.who.pid))) if self.who else ()
        except OSError:
            return ()

    def check_alive(self) -> None:
        """Raises TargetError when the process of `probe.pid` is gone; without one there is nothing to look at."""
        if self.who is not None and not trees.alive(self.who):
            raise TargetError(
                f"target {self.target.name} died during the run",
                evidence=f"process {self.who.pid} (probe.pid) is gone",
                cause="it was started elsewhere, so its log is there too",
                remedy="see its log, start it again and give the new pid: `--set target.probe.pid=PID`",
            )

    def facts(self) -> Mapping[str, Any]:
        address = watched_address(self.target)
        facts: dict[str, Any] = {"runtime": "external", "address": str(address), "reached_ns": self.seen_ns}
        if self.who is not None:
            facts["pid"] = self.who.pid
        elif self.seen_pid is not None:
            facts |= {"pid": self.seen_pid, "pid_found": "by the port it listens on"}
        if not address.is_loopback:
            facts["warnings"] = [f"{address} {_FAR}"]
        return facts


def _seen(target: Target) -> int | None:
    """Of a stream, the address is its broker's, and tells nothing of who works on it."""
    address = Address.of(target.url)
    return listener(target.url) if address.is_loopback and target.transport != "kafka" else None


def _process(target: Target) -> trees.Root | None:
    if target.probe.pid is None:
        return None
    who = trees.root(target.probe.pid)
    if who is None or not trees.alive(who):
        raise TargetError(
            f"target {target.name}: there is no process {target.probe.pid}",
            evidence=f"probe.pid = {target.probe.pid}",
            cause="it has ended, or runs on another machine or in another container's process namespace",
            remedy="give the pid that `pgrep -f` shows for it here, or leave probe.pid out",
        )
    return who
