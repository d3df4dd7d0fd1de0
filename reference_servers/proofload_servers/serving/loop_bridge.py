"""From the batching thread to the event loop, with one wake-up per burst of answers instead of one per answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from proofload_servers.serving import Result


class LoopBridge:
    """Made on the event loop it serves."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._arrived: deque[tuple[asyncio.Future[Result], Result]] = deque()
        self._woken = False

    def expect(self) -> tuple[asyncio.Future[Result], Callable[[Result], None]]:
        """A future of this loop, and the callback that completes it from any thread."""
        future: asyncio.Future[Result] = self._loop.create_future()

        def done(result: Result) -> None:
            self._arrived.append((future, result))
            # Appended before the flag is read, and cleared before the queue is emptied: no answer is left behind.
            if not self._woken:
                self._woken = True
                self._loop.call_soon_threadsafe(self._deliver)

        return future, done

    def _deliver(self) -> None:
        self._woken = False
        while self._arrived:
            future, result = self._arrived.popleft()
            if not future.done():
                future.set_result(result)
