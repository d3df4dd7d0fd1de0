"""Where a target lives. One file per runtime, found by discovery.

A runtime module defines

    create() -> Runtime

and optionally `STARTS_TARGETS = False`, when what it gives is running already: nothing of its coming
up can be seen, and it is not stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from proofload.target_model import Target
from proofload.watchdog import Watchdog


@dataclass(frozen=True, slots=True)
class Placement:
    """How the lab wants the target placed."""

    log_dir: Path
    """Where the target's standard output and error go, one file per process started."""
    cpus: Sequence[int] = ()
    """Cores to pin the target to; empty: leave it alone."""
    device: str = "cpu"
    env: Mapping[str, str] = field(default_factory=dict)
    arm: int = 0
    watchdog: Watchdog | None = None
    """The lab's; without one, the runtime keeps its own for as long as the target is up."""


class Server(Protocol):
    """A target that is up: started and ready, or found running."""

    @property
    def target(self) -> Target:
        """The target with every placeholder filled in."""

    @property
    def pids(self) -> Sequence[int]:
        """Root process ids for the process probe; empty when unknown."""

    @property
    def container_id(self) -> str:
        """For the container probe; empty where it is none."""

    @property
    def timeline(self) -> Mapping[str, int]:
        """Instants of coming up: spawn_ns, port_bound_ns, live_ns, ready_ns (those that were seen); of a container
        created_ns and started_ns too, its spawn being the moment in which it was asked for."""

    @property
    def cpus(self) -> Sequence[int]:
        """Cores it may use, as far as the lab knows (for the cost); empty when unknown."""

    def check_alive(self) -> None:
        """Raises TargetError, with the end of its log, if it died."""

    def facts(self) -> Mapping[str, Any]:
        """What is worth recording of it: runtime, command, image, limits, broker."""


class Runtime(Protocol):
    def start(self, target: Target, placement: Placement) -> AbstractContextManager[Server]:
        """Start the target and wait until it is ready; on leaving, stop it and all it started.

        Raises TargetError when it dies, does not get ready in time or its port is taken, with the end
        of its log as evidence.
        """
