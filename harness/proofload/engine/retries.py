"""Clients that try again: when, how often, and when one try is given up.

A request that is tried again stays one request; its patience (`timeout_s`) bounds all its tries together.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass

FAR = 1 << 62


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """Times in ns. `attempt_timeout_ns` 0: a try is given up only with the whole request."""

    attempts: int
    attempt_timeout_ns: int
    backoff_ns: int


class Retries:
    """What is to be done when: a second try, or the end of one. The dispatcher asks `due` and acts."""

    def __init__(self, plan: RetryPlan, *, seed: int) -> None:
        self.plan = plan
        self._random = random.Random(seed)  # noqa: S311  jitter, not a secret
        self._agenda: list[tuple[int, int, int]] = []  # instant, row, attempt that ends then; 0: try again
        self.resting: set[int] = set()
        """Rows between two tries: nothing of theirs is in flight."""

    @property
    def next_ns(self) -> int:
        return self._agenda[0][0] if self._agenda else FAR

    def tried(self, row: int, attempt: int, now_ns: int) -> None:
        """A try was sent."""
        if self.plan.attempt_timeout_ns:
            heapq.heappush(self._agenda, (now_ns + self.plan.attempt_timeout_ns, row, attempt))

    def again(self, row: int, attempts: int, now_ns: int, end_ns: int) -> bool:
        """A try came to nothing: is there to be another, before the client's patience ends at `end_ns`?"""
        if attempts >= self.plan.attempts:
            return False
        pause_ns = self.plan.backoff_ns * 2 ** (attempts - 1)
        at_ns = now_ns + round(pause_ns * self._random.uniform(0.5, 1.0))
        if at_ns >= end_ns:
            return False
        heapq.heappush(self._agenda, (at_ns, row, 0))
        self.resting.add(row)
        return True

    def due(self, now_ns: int, act: Callable[[int, int], None]) -> None:
        """Calls act(row, attempt) for what is due: attempt 0 asks for a new try, else this try ends."""
        while self._agenda and self._agenda[0][0] <= now_ns:
            _, row, attempt = heapq.heappop(self._agenda)
            if not attempt:
                self.resting.discard(row)
            act(row, attempt)
