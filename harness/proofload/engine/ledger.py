"""Stamps and judges: what a transport's reports become in the sample columns.

The Sink of one engine process. Stamping is all that happens when an answer arrives; decoding and
comparing wait until no request is due (`check_waiting`).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from proofload.engine.answers import AnswerCheck
from proofload.engine.capture import Capture
from proofload.engine.pairing import Pairing
from proofload.engine.ring import Ring
from proofload.records import Outcome

_OK, _WRONG, _LATE = int(Outcome.OK), int(Outcome.WRONG), int(Outcome.LATE)
_SHED, _ERROR, _TIMEOUT = int(Outcome.SHED), int(Outcome.ERROR), int(Outcome.TIMEOUT)
_EXAMPLES = 5
_EXAMPLE_BYTES = 400


class Ledger:
    """Columns of one engine process, and the rules by which an outcome is reached.

    `deadline_ns`: an answer later than this after its due time is late. `report(event, detail)` takes
    rare things worth an event. `wake` asks the dispatcher to call `check_waiting` soon.
    """

    def __init__(
        self,
        ring: Ring,
        *,
        deadline_ns: int,
        timeout_ns: int,
        report: Callable[[str, dict[str, Any]], None],
        now: Callable[[], int] = monotonic_ns,
    ) -> None:
        self.ring = ring
        self.now = now
        self.timeout_ns = timeout_ns
        self.checks: list[AnswerCheck] = []
        """One for each arm; an arm without its own is judged by the first."""
        self.pairing: Pairing | None = None
        self.capture: Capture | None = None
        self.again: Callable[[int], bool] | None = None
        """Asks whether a request that was refused or failed is tried again; set where clients retry."""
        self.wake: Callable[[], None] = _nothing
        self.settled = 0
        self.waiting: deque[tuple[int, bytes]] = deque()
        self._deadline_ns = deadline_ns
        self._report = report
        self._examples: Counter[tuple[str, str]] = Counter()
        self._mask = ring.mask
        views = ring.views
        self.intended, self.dispatched, self._sent = views["intended_ns"], views["dispatched_ns"], views["sent_ns"]
        self.done, self.outcome, self.payload = views["done_ns"], views["outcome"], views["payload"]
        self._status, self._bytes_in = views["status"], views["bytes_in"]
        self._error, self._version, self._arm = views["error"], views["version"], views["arm"]

    # What transports call.

    def sent(self, row: int) -> None:
        slot = row & self._mask
        if not self._sent[slot] or self.again is None:  # of a request that is tried again, the first time counts
            self._sent[slot] = self.now()

    def served_by(self, row: int, arm: int) -> None:
        if row >= self.settled:
            self._arm[row & self._mask] = arm

    def answered(self, row: int, status: int, body: bytes) -> None:
        now = self.now()
        slot = row & self._mask
        if row < self.settled or self.done[slot]:
            return
        self.done[slot] = now
        self._status[slot] = status
        self._bytes_in[slot] = len(body)
        waiting = self.waiting
        waiting.append((row, body))
        if len(waiting) == 1:
            self.wake()

    def shed(self, row: int, status: int) -> None:
        if self.again is None or not self.is_open(row) or not self.again(row):
            self._finish(row, _SHED, status)

    def failed(self, row: int, kind: str, detail: str = "", status: int = -1) -> None:
        if self.again is not None and self.is_open(row) and self.again(row):
            return
        self.ended(row, kind, detail, status)

    def ended(self, row: int, kind: str, detail: str = "", status: int = -1) -> None:
        """As `failed`, and for good."""
        if self._finish(row, _ERROR, status):
            self._error[row & self._mask] = self.ring.intern("error", kind)
            self._example("error", kind, payload=self.payload[row & self._mask], detail=detail[:_EXAMPLE_BYTES])

    def note(self, kind: str, **detail: Any) -> None:
        self._example("note", kind, **detail)

    def tell(self, kind: str, **detail: Any) -> None:
        self._report(kind, detail)

    # What the dispatcher calls.

    def is_open(self, row: int) -> bool:
        """Is it still to be decided what becomes of this row?"""
        return row >= self.settled and not self.done[row & self._mask]

    def timed_out(self, row: int) -> None:
        self._finish(row, _TIMEOUT, -1)

    def check_one(self) -> None:
        """Judge the oldest answer that waits."""
        row, body = self.waiting.popleft()
        slot = row & self._mask
        payload = self.payload[slot]
        checks, arm = self.checks, self._arm[slot]
        check = checks[arm] if arm < len(checks) else checks[0]
        judgement = check.judge(payload, body)
        if self.pairing is not None:
            self.pairing.seen(row, check.prediction, check.rtol)
        if self.capture is not None:
            self.capture(row, body, check)
        if judgement.version is not None:
            self._version[slot] = self.ring.intern("version", judgement.version)
        if not judgement.correct:
            self.outcome[slot] = _WRONG
            self._error[slot] = self.ring.intern("error", "wrong-answer")
            text = body[:_EXAMPLE_BYTES].decode("utf-8", "replace")
            self._example("wrong", "wrong-answer", payload=payload, detail=judgement.why, body=text)
        elif self.done[slot] - self.intended[slot] > self._deadline_ns:
            self.outcome[slot] = _LATE
        else:
            self.outcome[slot] = _OK

    def advance(self, dispatched_to: int, now_ns: int, abandon: Callable[[int], None]) -> None:
        """Time out what has waited too long, and move the settled mark over all that is final.

        Due times only rise and patience is the same for all, so the rows to look at are the oldest.
        """
        row, mask, patience = self.settled, self._mask, self.timeout_ns
        done, outcome, intended = self.done, self.outcome, self.intended
        moving = True
        while row < dispatched_to:
            slot = row & mask
            if not done[slot]:
                if intended[slot] + patience > now_ns:
                    break
                self._finish(row, _TIMEOUT, -1)
                abandon(row)
            elif not outcome[slot]:
                moving = False  # answered, still to be judged
            row += 1
            if moving:
                self.settled = row
        self.ring.settled = self.settled

    def _finish(self, row: int, outcome: int, status: int) -> bool:
        now = self.now()
        slot = row & self._mask
        if row < self.settled or self.done[slot]:
            return False
        self.done[slot] = now
        self._status[slot] = status
        self.outcome[slot] = outcome
        return True

    def _example(self, what: str, kind: str, **detail: Any) -> None:
        self._examples[what, kind] += 1
        if self._examples[what, kind] <= _EXAMPLES:
            self._report("example", {"what": what, "kind": kind, **detail})

    def new_phase(self) -> None:
        """Collect examples afresh."""
        self._examples.clear()


def _nothing() -> None: ...
