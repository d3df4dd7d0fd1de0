"""Keeps a costly reading from disturbing what it reads: the dearer it is, the rarer it becomes."""

from __future__ import annotations

from dataclasses import dataclass

SHARE = 0.01
"""Largest share of time that one costly reading may take."""


@dataclass(slots=True)
class Duty:
    """Due at once, then again `cost / SHARE` after each start. Times in nanoseconds."""

    _due_ns: int = 0

    def due(self, now_ns: int) -> bool:
        return now_ns >= self._due_ns

    def spent(self, began_ns: int, cost_ns: int) -> None:
        """A reading that began then took so long."""
        self._due_ns = began_ns + round(cost_ns / SHARE)
