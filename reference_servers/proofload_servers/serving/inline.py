"""Inference on the thread that took the request: what a server does whose author did not think of threads.

On an event loop (FastAPI, gRPC) everything else waits meanwhile: reading, answering, health, deadlines. In Flask's pool
the threads take turns. Nothing is put together into batches but what came in one call. It is here to be compared with.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from .batcher import Batcher, Work
from .refusals import NotReady


class Inline(Batcher):
    """A queue that is never used: its bounds are, where requests wait, nobody's."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._turn = threading.Lock()

    def put(self, works: Sequence[Work]) -> None:
        """Returns when they are answered."""
        with self._admission:
            if self._closed:
                raise NotReady("the server is shutting down")
            self._pending += len(works)
        now = time.monotonic_ns()
        for work in works:
            work.enqueued_ns = work.enqueued_ns or now
        with self._turn:
            batch = [work for work in works if self._wanted(work)]
            if batch:
                self._serve(batch)
