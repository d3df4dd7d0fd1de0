"""Why openings are slow: what a stranger can tell from latencies, from the processes, and from letting one rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MIB = 1024 * 1024
LOADED_MEMORY = 4 * MIB
LOADED_SHARE = 0.05
LOADED_READ = MIB // 2
"""A process has loaded something since it said ready when its own memory grew by 4 MiB and 5 %, or when it read half a
MiB besides its requests: a healthy one allocates some buffers (0.1 MiB were seen)."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one process took on since it said ready; None: not told."""

    memory_bytes: int | None
    """Besides what threads and connections take."""
    before_bytes: int | None
    read_bytes: int | None
    """Besides requests."""

    @property
    def loaded(self) -> bool:
        memory, before = self.memory_bytes, self.before_bytes
        grown = memory is not None and before is not None and memory >= max(LOADED_MEMORY, LOADED_SHARE * before)
        return grown or (self.read_bytes is not None and self.read_bytes >= LOADED_READ)


@dataclass(frozen=True, slots=True)
class SlowOpening:
    """A life whose first answers were slow."""

    one_stall: bool
    """The slow requests waited for one thing; else they were a row of slow answers."""
    taken: tuple[Taken, ...]
    """One a process; empty: its processes are not known."""


@dataclass(frozen=True, slots=True)
class Why:
    cause: str
    told: str


def why_slow(openings: Sequence[SlowOpening], rested_was_slow: bool | None) -> Why:  # noqa: FBT001  None: none rested
    """`rested_was_slow`: of an instance that was left alone after it had said ready, for longer than others were
    slow. A load that goes on in the background is over by then; one that awaits the first request is not."""
    if rested_was_slow is False:
        return Why(
            "false-ready", "left alone for a while after it says ready, it answers at once: it was still loading"
        )
    loaders = [sum(taken.loaded for taken in one.taken) for one in openings]
    known = [one for one in openings if one.taken]
    if known and 2 * sum(count > 0 for count in loaders) > len(openings):
        most = max(loaders)
        who = "the process" if most == 1 else f"{most} of its processes"
        return Why("lazy-load", f"{who} loaded {_amount(known)} after it had said ready, with the first requests")
    stalls = sum(one.one_stall for one in openings)
    workers = max((len(one.taken) for one in openings), default=0)
    if workers > 1 and 2 * stalls > len(openings):
        return Why(
            "lazy-load", f"its first requests wait for one thing and then are fast, in a server of {workers} processes"
        )
    if 2 * stalls > len(openings):
        return Why("no-warm-up", "its first requests wait for one thing, and little is loaded meanwhile")
    return Why("no-warm-up", "one answer after another is slow until it is warm")


def _amount(openings: Sequence[SlowOpening]) -> str:
    memory = max((taken.memory_bytes or 0 for one in openings for taken in one.taken), default=0)
    read = max((taken.read_bytes or 0 for one in openings for taken in one.taken), default=0)
    return f"{max(memory, read) / MIB:.0f} MiB"
