"""A loop, a timer and a target in virtual time: what the engine needs to be tested without waiting."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any

from proofload.engine.ledger import Ledger


class VirtualLoop:
    """Runs callbacks in order of virtual time; `now` moves only when nothing is left to do now."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000
        self._queue: list[tuple[int, int, Callable[[], Any]]] = []
        self._order = itertools.count()

    def now(self) -> int:
        return self.now_ns

    def call_soon(self, callback: Callable[[], Any]) -> None:
        self.at(self.now_ns, callback)

    def at(self, t_ns: int, callback: Callable[[], Any]) -> None:
        heapq.heappush(self._queue, (t_ns, next(self._order), callback))

    def run(self, until_ns: int) -> None:
        while self._queue and self._queue[0][0] <= until_ns:
            t_ns, _, callback = heapq.heappop(self._queue)
            self.now_ns = max(self.now_ns, t_ns)
            callback()
        self.now_ns = max(self.now_ns, until_ns)


class VirtualTimer:
    def __init__(self, loop: VirtualLoop, wake: Callable[[], None]) -> None:
        self._loop = loop
        self._wake = wake
        self._armed = 0

    def arm(self, at_ns: int) -> None:
        self._armed += 1
        mine = self._armed
        self._loop.at(at_ns, lambda: self._wake() if mine == self._armed else None)

    def disarm(self) -> None:
        self._armed += 1

    def close(self) -> None:
        self.disarm()


class VirtualTarget:
    """A transport whose answers take what `service(row)` says: nanoseconds, or None for never."""

    def __init__(self, loop: VirtualLoop, ledger: Ledger, service: Callable[[int], int | None]) -> None:
        self._loop = loop
        self._ledger = ledger
        self._service = service
        self.sent_at: list[int] = []
        self.abandoned: list[int] = []

    def send(self, row: int, payload: int) -> None:
        self.sent_at.append(self._loop.now_ns)
        self._ledger.sent(row)
        after = self._service(row)
        if after is not None:
            self._loop.at(self._loop.now_ns + after, lambda: self._ledger.answered(row, 200, b"%d" % payload))

    def abandon(self, row: int) -> None:
        self.abandoned.append(row)

    def decode(self, body: bytes) -> Any:
        return {"prediction": int(body)}

    async def open(self) -> None: ...

    async def close(self) -> None: ...
