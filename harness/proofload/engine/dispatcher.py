"""Sends what is due, never early. A slow target changes nothing about when requests are due.

Between sends it judges answers; a due request always comes first. Due times are absolute, so a late
wake-up makes the requests that were due meanwhile late (their send lag tells) and never the later ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.engine.ledger import Ledger
from proofload.engine.retries import FAR, Retries
from proofload.engine.schedule import Block, PhasePlan
from proofload.transports import Transport

_BURST = 64
"""Sends in a row before answers are read again: bounds how long a burst can delay a stamp."""
_PLAN_AHEAD_ROWS = 8192
_SWEEP_NS = 5 * NS_PER_MS
_BLANK = ("dispatched_ns", "sent_ns", "done_ns", "bytes_in", "error", "version", "outcome", "arm", "agrees")
_BACKLOG = 20_000
"""Answers that may wait to be judged before judging takes precedence over sending: bounds memory."""


class Timer(Protocol):
    """Wakes at an absolute instant: AbsoluteTimer, or a virtual one in tests."""

    def arm(self, at_ns: int) -> None: ...

    def disarm(self) -> None: ...

    def close(self) -> None: ...


class Loop(Protocol):
    """What of an event loop is needed here."""

    def call_soon(self, callback: Callable[[], None], /) -> object: ...


TimerFactory = Callable[[Callable[[], None]], Timer]
"""Makes a timer that calls what it is given."""


class Dispatcher:
    """Drives transports by the phases it is given, back to back.

    `transports[k]` reaches arm k; the list may change between turns. `route`, once set, says which arm a
    payload goes to; without it, all go to arm 0.
    """

    def __init__(
        self,
        loop: Loop,
        timer: TimerFactory,
        ledger: Ledger,
        transports: Sequence[Transport],
        *,
        worker: int,
        retries: Retries | None = None,
    ) -> None:
        self._loop = loop
        self._ledger = ledger
        self._now = ledger.now
        self._transports = transports
        self._worker = worker
        self._retries = retries
        self._arm_of, self._mirror_of = ledger.ring.views["arm"], ledger.ring.views["mirror"]
        self._attempts = ledger.ring.views["attempts"]
        self._sent_on = bytearray(ledger.ring.capacity)
        """By slot: the transport it went out on. Which arm answered may be another: behind a router it says so."""
        if retries is not None:
            ledger.again = self._again
        self.route: Callable[[int], int] | None = None
        self._timer = timer(self._turn)
        self._blocks: Iterator[tuple[PhasePlan, int, Block]] = iter(())
        self._exhausted = True
        self._planned = ledger.ring.planned
        self._head = self._planned  # next row to dispatch
        self._next_due = FAR
        self._next_sweep = 0
        self._scheduled = False
        self._on_idle: Callable[[], None] | None = None
        self.counts: dict[int, int] = {}
        """Requests planned so far, by phase."""
        ledger.wake = self._soon

    def start(self, blocks: Iterator[tuple[PhasePlan, int, Block]], on_idle: Callable[[], None]) -> None:
        """Take up phases: (phase, its start instant, block) in order. `on_idle` is called when every
        request of them is final."""
        self._blocks = blocks
        self._exhausted = False
        self._on_idle = on_idle
        self._plan_more()
        self._next_due = self._due()
        self._next_sweep = self._now() + _SWEEP_NS
        self._arm()

    def cut(self, *, now_ns: int) -> None:
        """Stop planning. What fell due since the last turn is still sent, a burst at most, for no client can be on
        time for the moment in which it is told; what else was due by now stays unsent; the rest never was planned."""
        self._blocks, self._exhausted = iter(()), True
        if now_ns >= self._next_due:
            self._send_due(now_ns)
        ring, ledger = self._ledger.ring, self._ledger
        keep = self._head
        while keep < self._planned and ledger.intended[keep & ring.mask] <= now_ns:
            keep += 1
        for row in range(keep, self._planned):
            self.counts[ring.views["phase"][row & ring.mask]] -= 1
        self._planned = ring.planned = keep
        self._next_due = FAR
        self._arm()

    def end_the_rest(self) -> None:
        """After `cut`: what is still in flight ends here, as errors of the kind "run-ended"."""
        ledger = self._ledger
        for row in range(ledger.settled, self._head):
            if not ledger.done[row & ledger.ring.mask]:
                ledger.ended(row, "run-ended")
                self._abandon(row)

    def close(self) -> None:
        self._timer.close()

    # One turn: send what is due, judge answers while nothing is, time out what is too old.

    def _soon(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        try:
            now = self._now()
            if now >= self._next_due:
                self._send_due(now)
            if self._retries is not None and now >= self._retries.next_ns:
                self._retries.due(now, self._retry)
            self._check_waiting()
            now = self._now()
            if now >= self._next_sweep:
                self._sweep(now)
        finally:
            self._arm()  # whatever a transport raises, the next request is due all the same

    def _send_due(self, now: int) -> None:
        ledger = self._ledger
        mask, intended, dispatched, payload = ledger.ring.mask, ledger.intended, ledger.dispatched, ledger.payload
        send = self._transports[0].send if self.route is None else self._send_routed
        retries = self._retries
        row = self._head
        last = min(row + _BURST, self._planned)
        while row < last and intended[row & mask] <= now:
            slot = row & mask
            dispatched[slot] = now = self._now()
            self._head = row + 1
            send(row, payload[slot])
            if retries is not None:
                retries.tried(row, 1, now)
            row += 1
        if self._planned - row < _PLAN_AHEAD_ROWS and not self._exhausted:
            self._plan_more()
        self._next_due = self._due()

    def _send_routed(self, row: int, payload: int) -> None:
        assert self.route is not None  # the only caller asked
        slot = row & self._ledger.ring.mask
        arm = 1 if self._mirror_of[slot] else self.route(payload)
        self._arm_of[slot] = self._sent_on[slot] = arm
        self._transports[arm].send(row, payload)

    def _abandon(self, row: int) -> None:
        """Free what a row holds, if anything of it is in flight."""
        if self._retries is not None and row in self._retries.resting:
            return
        self._transports[self._sent_on[row & self._ledger.ring.mask]].abandon(row)

    def _again(self, row: int) -> bool:
        """The ledger asks: is this row, which came to nothing, tried again?"""
        slot = row & self._ledger.ring.mask
        assert self._retries is not None  # who else set the ledger's question
        if self._mirror_of[slot]:
            return False
        end_ns = self._ledger.intended[slot] + self._ledger.timeout_ns
        agreed = self._retries.again(row, self._attempts[slot], self._now(), end_ns)
        if agreed:
            self._soon()
        return agreed

    def _retry(self, row: int, attempt: int) -> None:
        ledger, slot = self._ledger, row & self._ledger.ring.mask
        if not ledger.is_open(row):
            return
        if not attempt:
            self._attempts[slot] += 1
            arm = self._arm_of[slot] = self._sent_on[slot]
            self._transports[arm].send(row, ledger.payload[slot])
            assert self._retries is not None  # who else calls
            self._retries.tried(row, self._attempts[slot], self._now())
        elif attempt == self._attempts[slot]:
            self._abandon(row)
            if not self._again(row):
                ledger.timed_out(row)

    def _check_waiting(self) -> None:
        ledger = self._ledger
        waiting, check = ledger.waiting, ledger.check_one
        while waiting:
            if self._now() >= self._next_due and len(waiting) < _BACKLOG:
                self._soon()
                return
            check()

    def _sweep(self, now: int) -> None:
        self._ledger.advance(self._head, now, self._abandon)
        self._next_sweep = now + _SWEEP_NS
        if not self._exhausted and self._next_due == FAR:  # the ring was full, or nothing planned yet
            self._plan_more()
            self._next_due = self._due()
        if self._exhausted and self._next_due == FAR and self._ledger.settled >= self._head:
            self._finish()

    def _finish(self) -> None:
        self._next_sweep = FAR
        self._head = self._ledger.settled = self._ledger.ring.settled = self._planned  # what was cut stays unsent
        on_idle, self._on_idle = self._on_idle, None
        if on_idle is not None:
            on_idle()

    def _due(self) -> int:
        if self._head >= self._planned:
            return FAR
        due: int = self._ledger.intended[self._head & self._ledger.ring.mask]
        return due

    def _arm(self) -> None:
        at = min(self._next_due, self._next_sweep, FAR if self._retries is None else self._retries.next_ns)
        if at >= FAR:
            self._timer.disarm()
        elif at <= self._now():
            self._soon()
        else:
            self._timer.arm(at)

    def _plan_more(self) -> None:
        """Write the plan of further blocks into the ring, as long as there is room."""
        ring = self._ledger.ring
        while self._planned - self._head < _PLAN_AHEAD_ROWS:
            if self._planned - ring.drained + 2 * _PLAN_AHEAD_ROWS > ring.capacity:
                return  # the lab is behind with draining: dispatch stalls, and send lag will tell
            following = next(self._blocks, None)
            if following is None:
                self._exhausted = True
                return
            self._write(*following)

    def _write(self, plan: PhasePlan, start_ns: int, block: Block) -> None:
        ring = self._ledger.ring
        arrays = ring.arrays
        for slots, part in ring.slots(self._planned, len(block)):
            arrays["seq"][slots] = block.seq[part]
            arrays["intended_ns"][slots] = block.due_ns[part] + start_ns
            arrays["payload"][slots] = block.payload[part]
            arrays["mirror"][slots] = block.mirror[part]
            arrays["attempts"][slots] = 1
            for name in _BLANK:
                arrays[name][slots] = 0
            arrays["status"][slots] = -1
            arrays["score"][slots] = np.nan
            arrays["phase"][slots] = plan.index
            arrays["worker"][slots] = self._worker
        self.counts[plan.index] = self.counts.get(plan.index, 0) + len(block)
        self._planned += len(block)
        ring.planned = self._planned


def timeline(phases: list[tuple[PhasePlan, Iterator[Block]]], start_ns: int) -> Iterator[tuple[PhasePlan, int, Block]]:
    """The blocks of phases that follow one another without a gap, each with its phase's start instant."""
    for plan, blocks in phases:
        for block in blocks:
            yield plan, start_ns, block
        start_ns += round(plan.duration_s * NS_PER_S)
