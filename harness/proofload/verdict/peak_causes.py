"""Naming the cause of a collapse, from what any foreign server shows: answers, refusals, liveness, CPU.

unbounded-queue          it refuses (almost) nothing, and answers its other callers as ever
full-queue-blocks        it refuses nothing, and stalls altogether: liveness pages and connections wait as well
zombie-work              it refuses some, and those it takes wait in vain; or it is busy long after all have left
blocked-event-loop       its liveness page waits for work already below saturation
oversubscribed-threads   more of its threads want to run than there are cores
retry-storm              clients retry, and multiply what it is asked for
overload-collapse        none of these
"""

from __future__ import annotations

from dataclasses import dataclass

FEW_REFUSED = 0.1
STALLED = 0.5
NEVER_CONNECTED = 0.2
IN_VAIN = 0.5
MULTIPLIED = 1.5
STILL_MULTIPLIED = 1.2
BUSY_CORES = 0.3
"""Cores used beyond what the base load takes, after all callers have left."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What the diagnosis goes by. None: not seen."""

    refused: float
    """Share of the excess at the peak that was refused (429, 503), whenever."""
    in_vain: float
    """Share of the requests at the peak, refused ones left out, that were late or timed out."""
    never_connected: float
    """Share of the requests at the peak that timed out before a connection came about, below the client's cap."""
    stalled: float | None
    """Share of the looks at the liveness page at the peak that failed, or took half a second or longer."""
    attempts_at_peak: float
    attempts_after: float
    """Mean sends per request at the peak and after it; 1 where clients do not retry."""
    busy_after_cores: float | None
    """Cores used in the seconds after the last caller of the peak had left, above what the base load takes."""
    late_recovery: bool
    """Not recovered within a second after the last caller of the peak had given up."""
    blocked: bool = False
    """Its liveness page was slow below saturation."""
    oversubscribed: bool = False

    @property
    def retrying(self) -> bool:
        return self.attempts_at_peak >= MULTIPLIED or self.attempts_after >= STILL_MULTIPLIED


def cause_of_collapse(signs: Signs) -> str:
    """Why goodput is lost, or the excess not refused."""
    if signs.retrying:
        return "retry-storm"
    if signs.blocked:
        return "blocked-event-loop"
    if signs.oversubscribed:
        return "oversubscribed-threads"
    if signs.refused < FEW_REFUSED:
        stalled = signs.stalled is not None and signs.stalled >= STALLED
        return "full-queue-blocks" if stalled or signs.never_connected >= NEVER_CONNECTED else "unbounded-queue"
    return "zombie-work" if signs.in_vain >= IN_VAIN else "overload-collapse"


def cause_of_no_recovery(signs: Signs) -> str:
    """Why it is not itself again: retries that go on, or work for callers who left."""
    if signs.attempts_after >= STILL_MULTIPLIED:
        return "retry-storm"
    busy = signs.busy_after_cores is not None and signs.busy_after_cores >= BUSY_CORES
    if busy or (signs.late_recovery and not signs.blocked):
        return "zombie-work"
    return cause_of_collapse(signs)
