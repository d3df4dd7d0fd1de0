"""A token bucket for each client: it fills steadily, so there is no minute's end at which everybody may go again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

EVERYBODY_ELSE = ""
Clock = Callable[[], float]


class TokenBuckets:
    """At most `most` buckets. A full bucket remembers nothing, so only full ones are forgotten; while none is, all
    clients that are new share one bucket. Thread-safe."""

    def __init__(self, rate_rps: float, burst: float, most: int, clock: Clock = time.monotonic) -> None:
        self._rate = rate_rps
        self._burst = burst
        self._most = most
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when; least recent first
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, client: str) -> float:
        """0.0 when there was a token, which is taken; else the seconds until there is one."""
        with self._lock:
            name, tokens, now = self._filled(client)
            if tokens < 1.0:
                self._keep(name, tokens, now)
                return (1.0 - tokens) / self._rate
            self._keep(name, tokens - 1.0, now)
            return 0.0

    def owe(self, client: str, count: int) -> None:
        """Takes `count` more, there or not: what was admitted turned out to be that much work, and is paid off."""
        with self._lock:
            name, tokens, now = self._filled(client)
            self._keep(name, tokens - count, now)

    def _filled(self, client: str) -> tuple[str, float, float]:
        """(whose bucket counts, its tokens by now, now)."""
        now = self._clock()
        if client not in self._buckets and len(self._buckets) >= self._most and not self._forgot_one(now):
            client = EVERYBODY_ELSE
        tokens, since = self._buckets.get(client, (self._burst, now))
        return client, min(self._burst, tokens + (now - since) * self._rate), now

    def _keep(self, client: str, tokens: float, now: float) -> None:
        self._buckets[client] = (tokens, now)
        self._buckets.move_to_end(client)

    def _forgot_one(self, now: float) -> bool:
        """Whether there is room again. The one seen least recently is the first to be full, but for debts."""
        client, (tokens, since) = next(iter(self._buckets.items()))
        if tokens + (now - since) * self._rate < self._burst:
            return False
        del self._buckets[client]
        return True
