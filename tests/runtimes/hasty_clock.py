"""A clock by which a time-out comes as soon as something was seen, however slow the machine is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from proofload.clock import NS_PER_S, MonotonicClock

_HOUR_NS = 3600 * NS_PER_S


class HastyClock(MonotonicClock):
    """Stands still until the claim holds; from then on an hour passes at every look at it."""

    def __init__(self, seen: Callable[[], object]) -> None:
        self._seen = seen
        self._now_ns = super().now_ns()
        self._hurries = False

    def now_ns(self) -> int:
        self._hurries = self._hurries or bool(self._seen())
        self._now_ns += _HOUR_NS * self._hurries
        return self._now_ns


def has_said(log: Path, words: str) -> Callable[[], bool]:
    """Whether the log, once there is one, has these words."""
    return lambda: log.exists() and words in log.read_text(encoding="utf-8")
