"""Does a stream keep what it guarantees? From counts to checks, with bounds.

That a message was lost, or answered out of order, is a fact about that message and no estimate: one is enough to
fail. That none was seen bounds their share, by the exact (beta) bound for no event among n: 1 − 0.05^(1/n) at 95 %,
so 2,995 messages show less than 1 in 1,000. Answers beyond the first are judged by how far back they reach: at
least once means that after a handover the worker may repeat what it answered since its last commit, and no more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from proofload.analysis.delivery import PhaseDelivery
from proofload.analysis.shares import one_sided_bounds
from proofload.clock import NS_PER_S
from proofload.records import Check, Interval, Status

Guarantee = Literal["at-least-once", "exactly-once", "at-most-once"]
CONFIDENCE = 0.95
STOOD_STILL_S = 0.5
"""Answers that pause for so long tell when a handover took place."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stretch of load, what was done to the workers in it, and what became of its messages."""

    name: str
    delivery: PhaseDelivery
    what: str = ""
    """"restart", "kill", "join", "leave", "broker-restart"; empty: nothing was interfered with."""
    disturbed_ns: int = 0
    """When workers were first interfered with; 0: they were not."""
    reach_s: float = 0.0
    """How long before the handover a message may have been answered that is answered again after it."""
    under_way: int | None = None
    """Messages sent and not answered when a worker was stopped or killed; None: none was."""

    @property
    def crash(self) -> bool:
        """A worker was killed: what it had at that instant may be answered again, or, at most once, never."""
        return self.what == "kill"

    @property
    def handover_ns(self) -> int:
        """When the work changed hands: when the answers paused, if they did, else when it was ordered."""
        found = self.delivery
        return found.stopped_ns if found.stood_still_s >= STOOD_STILL_S else self.disturbed_ns

    @property
    def beyond_reach(self) -> int:
        """Answers beyond the first for messages that had been answered long before; unplaced ones count."""
        unplaced = self.delivery.duplicated - len(self.delivery.repeated_ns)
        if not self.disturbed_ns:
            return self.delivery.duplicated
        oldest = self.handover_ns - round(self.reach_s * NS_PER_S)
        return unplaced + int(np.count_nonzero(self.delivery.repeated_ns < oldest))


def lost(stretches: Sequence[Stretch], guarantee: Guarantee, *, share: float) -> Check:
    """Nothing may be lost; `at-most-once` allows it where a worker was killed. `share`: what must be ruled out."""
    bound = [one for one in stretches if not (one.crash and guarantee == "at-most-once")]
    count = sum(one.delivery.lost for one in bound)
    waiting = sum(one.delivery.waiting for one in stretches)
    sent = sum(one.delivery.sent - one.delivery.undelivered for one in bound)
    told = f"{count:,} of {sent:,} messages were never answered although later ones of their key were"
    where = _where([(one.name, one.delivery.lost) for one in bound])
    if count:
        return _check("lost", Status.FAIL, count, sent, f"{told} ({where}).", cause="lost-messages")
    if waiting:
        evidence = f"{waiting:,} messages had no answer, nor had anything sent after them, when the run ended."
        return _check(
            "lost", Status.INCONCLUSIVE, 0, sent, evidence,
            settle="raise drain_s and recovery_s above the group's session time-out (45 s by default in Kafka)",
        )  # fmt: skip
    kills = [one for one in bound if one.crash]
    if kills and not any(one.under_way for one in kills):  # one that hits nothing shows nothing
        names = ", ".join(one.name for one in kills)
        evidence = f"{told}; but nothing was under way when a worker was killed ({names})."
        return _check("lost", Status.INCONCLUSIVE, 0, sent, evidence, settle="raise rate_rps")
    return _nothing_seen("lost", told, sent, share)


def duplicated(stretches: Sequence[Stretch], guarantee: Guarantee, *, share: float, alpha_fail: float = 0.001) -> Check:
    """At least once: what a handover may repeat, and besides no more than `share` of any stretch's messages, each
    stretch judged by an exact test at its part of `alpha_fail` (Bonferroni). Else: none at all."""
    sent = sum(one.delivery.sent for one in stretches)
    total = sum(one.delivery.duplicated for one in stretches)
    if guarantee != "at-least-once":
        told = f"{total:,} answers beyond the first to {sent:,} messages"
        if total:
            where = _where([(one.name, one.delivery.duplicated) for one in stretches])
            evidence = f"{told} ({where}), where {guarantee} allows none."
            return _check("duplicated", Status.FAIL, total, sent, evidence, cause="duplicated-messages")
        return _nothing_seen("duplicated", told, sent, share)
    excess = [(one, min(one.beyond_reach, one.delivery.sent)) for one in stretches]
    count = sum(number for _, number in excess)
    told = f"{total:,} answers beyond the first to {sent:,} messages"
    if not count:
        return _nothing_seen(
            "duplicated", f"{told}, all within what a handover may repeat" if total else told, sent, share
        )
    guards = max(1, len(excess))
    grave = [
        (one.name, number)
        for one, number in excess
        if share_bounds(number, one.delivery.sent, beyond=alpha_fail / guards)[0] > share
    ]
    where = _where([(one.name, number) for one, number in excess])
    evidence = f"{told}; {count:,} of them had been answered well before any handover ({where})."
    if grave:
        return _check("duplicated", Status.FAIL, count, sent, evidence, cause="duplicated-messages")
    if share_bounds(count, sent)[1] <= share:
        return _check("duplicated", Status.PASS, count, sent, f"{evidence} That is within the {share:.2%} tolerated.")
    return _check("duplicated", Status.INCONCLUSIVE, count, sent, evidence, settle="a longer duration_s")


def reordered(stretches: Sequence[Stretch], *, share: float) -> Check:
    """No answer may come after that of a message sent later with the same key."""
    known = [(one.name, one.delivery.reordered) for one in stretches if one.delivery.reordered is not None]
    count = sum(number for _, number in known)
    sent = sum(one.delivery.answered for one in stretches)
    if not known:
        return _check("reordered", Status.INCONCLUSIVE, None, 0, "Messages had no key, so no order is promised.")
    told = f"{count:,} of {sent:,} answers came after that of a message sent later with the same key"
    if count:
        return _check("reordered", Status.FAIL, count, sent, f"{told} ({_where(known)}).", cause="reordered-messages")
    return _nothing_seen("reordered", told, sent, share)


def rows_needed(share: float) -> int:
    """Messages without an event that rule out this share of them, at 95 %."""
    return math.ceil(math.log(1.0 - CONFIDENCE) / math.log1p(-share))


def share_bounds(count: int, n: int, *, beyond: float = 1.0 - CONFIDENCE) -> tuple[float, float]:
    """One-sided exact bounds of a share, each missed with probability `beyond`."""
    return one_sided_bounds(count, n, beyond)


def _nothing_seen(name: str, told: str, sent: int, share: float) -> Check:
    needed = rows_needed(share)
    if sent >= needed:
        return _check(name, Status.PASS, 0, sent, f"{told} (at most {share_bounds(0, sent)[1]:.2%} at 95 %).")
    evidence = f"{told}; {needed:,} messages are needed to rule out a share of {share:.2%}."
    return _check(name, Status.INCONCLUSIVE, 0, sent, evidence, settle=f"{needed - sent:,} more messages")


def _check(
    name: str, status: Status, count: int | None, n: int, evidence: str, *, settle: str = "", cause: str = ""
) -> Check:
    interval = _interval(count, n) if count is not None and n else Interval(None, None)
    return Check(name, status, count, 0, "messages", interval, evidence, settle=settle, cause=cause)


def _interval(count: int, n: int) -> Interval:
    """How many among so many it would be in the long run."""
    low, high = share_bounds(min(count, n), n)
    return Interval(low * n, high * n)


def _where(counts: Sequence[tuple[str, int | None]]) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in counts if count)
