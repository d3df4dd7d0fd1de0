"""How a rollout is moved: who gets which share of traffic. One file per driver, found by discovery.

A driver module defines

    create(settings: Mapping[str, Any]) -> Driver      the scenario's [driver] table without `name`

Baseline is arm 0, canary arm 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from proofload.runtimes import Server
from proofload.target_model import Target
from proofload.watchdog import Watchdog


@dataclass(frozen=True, slots=True)
class Stage:
    """Both versions, up and ready, and what a driver may use."""

    baseline: Server
    canary: Server
    split: Split
    """Moves the shares inside the load generator itself."""
    folder: Path
    """An empty folder of its own, for configuration and logs."""
    watchdog: Watchdog
    """Ends whatever the driver starts, however the lab ends."""
    salt: str
    """Seeds the hash that assigns users."""
    forcing_header: tuple[str, str] = ("", "")
    """Name and value of the header whose requests are to go to the canary whatever its share; empty: none is known."""


class Split(Protocol):
    def __call__(self, shares: Mapping[int, float]) -> None:
        """Give each arm its share of users (of requests, where payloads name no user), from now on."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where load is to be sent while a driver is in charge."""

    target: Target | None = None
    """A router in front of both versions; None: the load generator reaches each arm itself."""
    arm_header: str = ""
    """The response header by which the router says who answered: "baseline" or "canary"; empty: the version
    stamp tells (it must differ between the versions)."""


class Traffic(Protocol):
    """A rollout in a driver's hands."""

    @property
    def route(self) -> Route: ...

    def move(self, canary_share: float) -> None:
        """Give the canary this share of the traffic, 0 to 1; returns when new requests follow it. No request
        may be lost by it. Raises DriverError when the router refuses."""


class Driver(Protocol):
    def open(self, stage: Stage) -> AbstractContextManager[Traffic]:
        """Take the traffic, all of it on the baseline. On leaving, however: all of it is on the baseline again."""
