"""Redis as the cache of several servers, on a thread and an event loop of its own.

No request waits longer for it than its budget: half of it at most for an earlier round trip to end, and half for its
own. One round trip at a time carries all look-ups that wait, and what is to be kept. The first that fails or is late
gives the cache up: what waits is computed, and so is all that comes, without asking. Pings, for which nobody waits,
then find out when it is worth asking again: after RETRY_S, and twice as long each time, until all is well for STEADY_S.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from . import Found
from .address import told
from .counts import CacheCounts
from .entries import as_json, packed, unpacked
from .round_trips import CONNECT_S, Entry, RoundTrips, Unanswered

LOG = logging.getLogger("proofload_servers.cache")
RETRY_S = 0.1
LONGEST_RETRY_S = 5.0
STEADY_S = 1.0
MOST_KEYS = 128
"""In one round trip, and as many entries to keep; a single call may bring more."""
MOST_TO_KEEP = 1024
"""Entries that wait to be kept; the oldest go first."""


@dataclass(frozen=True, slots=True)
class _Asked:
    keys: Sequence[bytes]
    found: Found
    since_s: float


class RemoteCache:
    """Asked, or known to be away, when it has been made; that takes twice CONNECT_S at most."""

    def __init__(
        self,
        address: str,
        *,
        ttl_s: float,
        budget_s: float,
        counts: CacheCounts,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._told = told(address)
        self._half_s = budget_s / 2
        self._trips = RoundTrips(address, ttl_s=ttl_s, limit_s=self._half_s)
        self._counts = counts
        self._now_s = now_s
        self._asked: deque[_Asked] = deque()
        self._to_keep: deque[Entry] = deque(maxlen=MOST_TO_KEEP)
        self._up = False
        self._closed = False
        self._woken = False
        self._work = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        tried = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(tried,), name="cache", daemon=True)
        self._thread.start()
        tried.wait(2 * CONNECT_S)

    def look_up(self, keys: Sequence[bytes], found: Found) -> None:
        if self._away():
            found(None)
            return
        self._asked.append(_Asked(keys, found, self._now_s()))
        self._wake()
        # Appended before this is read, and set before the waiting are turned away: nobody is left behind.
        if self._away():
            self._turn_away()

    def _away(self) -> bool:
        return not self._up

    def keep(self, key: bytes, prediction: Any) -> None:
        text = as_json(prediction) if self._up else None
        if text is not None:
            self._to_keep.append((key, packed(key, text)))
            self._wake()

    def close(self, timeout_s: float) -> None:
        self._closed = True
        self._up = False
        self._wake()
        self._thread.join(timeout_s)
        self._turn_away()

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._work.set)

    def _turn_away(self) -> None:
        """What waits is told that nothing could be asked."""
        while True:
            try:
                asked = self._asked.popleft()
            except IndexError:
                return
            asked.found(None)

    # On the cache's own thread from here on.

    def _run(self, tried: threading.Event) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._live(tried))
        except Exception:
            LOG.exception("the cache's thread has ended; what comes is computed")
        finally:
            self._closed = True
            self._up = False
            tried.set()
            self._turn_away()

    async def _live(self, tried: threading.Event) -> None:
        self._set(up=await self._trips.in_time())
        tried.set()
        retry_s, up_since_s = RETRY_S, time.monotonic()
        while not self._closed:
            if not self._up:
                await self._pause(retry_s)
                retry_s = min(2 * retry_s, LONGEST_RETRY_S)
                self._set(up=await self._trips.in_time())
                up_since_s = time.monotonic()
            elif not self._asked and not self._to_keep:
                await self._woken_up()
            elif await self._round_trip():
                if time.monotonic() - up_since_s > STEADY_S:
                    retry_s = RETRY_S
            else:
                self._set(up=False)
        await self._trips.hang_up()

    def _set(self, *, up: bool) -> None:
        was, self._up = self._up, up and not self._closed
        self._counts.up.set(int(self._up))
        if self._up and not was:
            LOG.info("the cache answers: %s", self._told)
        if was and not self._up:
            LOG.warning("the cache failed or was late, and is left alone for a while: %s", self._told)
            self._counts.opened.inc()
            self._to_keep.clear()
            self._turn_away()

    async def _pause(self, seconds: float) -> None:
        """Ends early when the cache is closed."""
        until_s = time.monotonic() + seconds
        while not self._closed and (left_s := until_s - time.monotonic()) > 0.0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._woken_up()

    async def _woken_up(self) -> None:
        await self._work.wait()
        self._work.clear()
        self._woken = False

    async def _round_trip(self) -> bool:
        asked = self._next_asked()
        keys = [key for one in asked for key in one.keys]
        to_keep = [self._to_keep.popleft() for _ in range(min(len(self._to_keep), MOST_KEYS))]
        try:
            entries, not_taken = await self._trips.exchange(keys, to_keep)
        except Unanswered:
            self._counts.errors.inc()
            for one in asked:
                one.found(None)
            return False
        self._counts.errors.inc(not_taken)
        at = 0
        for one in asked:
            here = entries[at : at + len(one.keys)]
            one.found([self._prediction(key, entry) for key, entry in zip(one.keys, here, strict=True)])
            at += len(one.keys)
        return True

    def _next_asked(self) -> list[_Asked]:
        """As many as one round trip takes. Who has spent half the budget on waiting is let go."""
        now_s = self._now_s()
        taken: list[_Asked] = []
        keys = 0
        while self._asked and (not taken or keys + len(self._asked[0].keys) <= MOST_KEYS):
            asked = self._asked.popleft()
            if now_s - asked.since_s > self._half_s:
                asked.found(None)
            else:
                taken.append(asked)
                keys += len(asked.keys)
        return taken

    def _prediction(self, key: bytes, entry: Any) -> Any:
        if entry is None:
            return None
        try:
            return unpacked(key, entry)
        except ValueError:
            self._counts.errors.inc()
            return None
