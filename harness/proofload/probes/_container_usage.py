"""What is known of a container at an instant, and what two such instants amount to. Pure.

A field that is None was not told: it has no reading, and is never taken for 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Usage:
    """Counters count from the container's start, whenever that was."""

    cpu_s: float | None = None
    periods: int | None = None
    """Scheduler periods in which it wanted to run under a CPU limit, and"""
    throttled_periods: int | None = None
    """those of them in which it had used up its share and was stopped."""
    throttled_s: float | None = None
    """How long it was stopped, added up over cores."""
    cpu_limit_cores: float | None = None
    used_bytes: int | None = None
    """All that counts against its memory limit, the page cache among it."""
    reclaimable_bytes: int | None = None
    """File pages that were not used lately: given back at once when memory gets short."""
    anon_bytes: int | None = None
    """What is backed by no file and cannot be given back: heaps, stacks, and shared memory with tmpfs."""
    memory_limit_bytes: int | None = None
    oom_kills: int | None = None
    """Processes of it that the kernel killed because its memory limit was reached."""
    pids: int | None = None
    rx_bytes: int | None = None
    tx_bytes: int | None = None

    @property
    def memory_bytes(self) -> int | None:
        """The working set."""
        if self.used_bytes is None or self.reclaimable_bytes is None:
            return None
        return max(0, self.used_bytes - self.reclaimable_bytes)


@dataclass(slots=True)
class Rates:
    """Turns usages, one after the other, into the values of readings (see container.py)."""

    _before: Usage = field(default_factory=Usage)
    _at_ns: int = 0
    _throttled_s: float = 0.0

    def forget(self) -> None:
        """The next usage is of a new life: its counters began again."""
        self._before = Usage()

    def of(self, usage: Usage, at_ns: int) -> dict[str, float]:
        values = dict(self._levels(usage))
        elapsed_s = (at_ns - self._at_ns) / 1e9
        if self._at_ns and elapsed_s > 0:
            values |= dict(self._since(usage, elapsed_s))
        self._before, self._at_ns = usage, at_ns
        return values

    def _levels(self, usage: Usage) -> Iterator[tuple[str, float]]:
        told = {
            "memory_bytes": usage.memory_bytes,
            "usage_bytes": usage.used_bytes,
            "anon_bytes": usage.anon_bytes,
            "memory_limit_bytes": usage.memory_limit_bytes,
            "cpu_limit_cores": usage.cpu_limit_cores,
            "pids": usage.pids,
        }
        yield from ((name, float(value)) for name, value in told.items() if value is not None)
        if usage.memory_bytes is not None and usage.memory_limit_bytes:
            yield "memory_of_limit", usage.memory_bytes / usage.memory_limit_bytes

    def _since(self, usage: Usage, elapsed_s: float) -> Iterator[tuple[str, float]]:
        before = self._before
        if (used_s := _grown(before.cpu_s, usage.cpu_s)) is not None:
            yield "cpu_share", used_s / elapsed_s
            if usage.cpu_limit_cores:
                yield "cpu_of_limit", used_s / elapsed_s / usage.cpu_limit_cores
        periods = _grown(before.periods, usage.periods)
        stopped = _grown(before.throttled_periods, usage.throttled_periods)
        if periods and stopped is not None:
            yield "throttled_share", min(1.0, stopped / periods)
        if (stopped_s := _grown(before.throttled_s, usage.throttled_s)) is not None and usage.cpu_limit_cores:
            self._throttled_s += stopped_s
            yield "throttled_s", self._throttled_s
        for name, earlier, later in (
            ("rx_bytes_per_s", before.rx_bytes, usage.rx_bytes),
            ("tx_bytes_per_s", before.tx_bytes, usage.tx_bytes),
        ):
            if (grown := _grown(earlier, later)) is not None:
                yield name, grown / elapsed_s


def _grown(before: float | None, after: float | None) -> float | None:
    """None where either is not known, and where the counter began again."""
    if before is None or after is None or after < before:
        return None
    return after - before
