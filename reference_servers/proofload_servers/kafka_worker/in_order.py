"""Answers of one partition, let go in the order of its requests, whatever order they were found in.

The queue keeps that order by itself; a cache, whose answers overtake those that are computed, does not.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from proofload_servers.serving import Result

LOG = logging.getLogger("proofload_servers.kafka")
Done = Callable[[Result], None]


class _Place:
    """One request's place in the row."""

    __slots__ = ("done", "result")

    def __init__(self, done: Done) -> None:
        self.done = done
        self.result: Result | None = None


class InOrder:
    """`next` for each request, in order, on one thread; what it gives may be called from any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[int, deque[_Place]] = {}
        self._busy: set[int] = set()

    def next(self, partition: int, done: Done) -> Done:
        """`done`, to be called when everything that came before has had its answer."""
        place = _Place(done)
        with self._lock:
            self._rows.setdefault(partition, deque()).append(place)

        def arrived(result: Result) -> None:
            with self._lock:
                place.result = result
            self._let_go(partition)

        return arrived

    def _let_go(self, partition: int) -> None:
        """One thread at a time, and outside the lock: a callback may take long, or need a thread that waits for it."""
        while (ready := self._first_ready(partition)) is not None:
            done, result = ready
            try:
                done(result)
            except Exception:  # the others in the row must not wait for ever
                LOG.exception("an answer could not be let go")
            with self._lock:
                self._busy.discard(partition)

    def _first_ready(self, partition: int) -> tuple[Done, Result] | None:
        with self._lock:
            row = self._rows[partition]
            if partition in self._busy or not row or row[0].result is None:
                return None
            self._busy.add(partition)
            place = row.popleft()
            assert place.result is not None
            return place.done, place.result
