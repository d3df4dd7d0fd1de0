"""The split inside the load generator: a stable hash of the user, no router in between."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from proofload.drivers import Driver, Route, Split, Stage
from proofload.errors import InputError

_RESTLESS_S = 0.5


def create(settings: Mapping[str, Any]) -> Driver:
    """`unstable = true` plants the defect of an assignment that wavers (refused unless PROOFLOAD_ALLOW_FAULTS=1)."""
    unknown = sorted(set(settings) - {"unstable"})
    if unknown:
        raise InputError(
            f"the driver client has no key {unknown[0]!r}",
            cause="it splits inside the load generator, and there is nothing to set",
            remedy="remove the key from [driver], or name another driver",
        )
    unstable = bool(settings.get("unstable", False))
    if unstable and os.environ.get("PROOFLOAD_ALLOW_FAULTS") != "1":
        raise InputError(
            "the driver client was asked for an unstable assignment, which is a planted defect",
            remedy="remove `unstable` from [driver]; for a self-test, set PROOFLOAD_ALLOW_FAULTS=1",
        )
    return ClientSplit(unstable=unstable)


@dataclass(frozen=True, slots=True)
class ClientSplit:
    """See `proofload.drivers.Driver`."""

    unstable: bool = False

    def open(self, stage: Stage) -> AbstractContextManager[ClientTraffic]:
        return self._opened(stage)

    @contextmanager
    def _opened(self, stage: Stage) -> Iterator[ClientTraffic]:
        traffic = Wavering(stage.split) if self.unstable else ClientTraffic(stage.split)
        traffic.move(0.0)
        try:
            yield traffic
        finally:
            traffic.move(0.0)


@dataclass(slots=True)
class ClientTraffic:
    """See `proofload.drivers.Traffic`."""

    split: Split
    route: Route = field(default_factory=Route)

    def move(self, canary_share: float) -> None:
        self.split({0: 1.0 - canary_share, 1: canary_share})


@dataclass(slots=True)
class Wavering(ClientTraffic):
    """A planted defect: the share swings around what was asked, so that users near its edge change sides."""

    _ended: threading.Event = field(default_factory=threading.Event)
    _swinging: threading.Thread | None = None

    def move(self, canary_share: float) -> None:
        if self._swinging is not None:
            self._ended.set()
            self._swinging.join()
            self._swinging = None
        ClientTraffic.move(self, canary_share)
        if 0.0 < canary_share < 1.0:
            self._ended = threading.Event()
            self._swinging = threading.Thread(target=self._swing, args=(canary_share,), daemon=True)
            self._swinging.start()

    def _swing(self, share: float) -> None:
        swing = 0.5 * min(share, 1.0 - share)
        while not self._ended.wait(_RESTLESS_S):
            swing = -swing
            ClientTraffic.move(self, share + swing)
