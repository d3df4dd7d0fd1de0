"""Load through a stream while its workers are interfered with: when do answers come again?"""

from __future__ import annotations

import time
from time import monotonic_ns

import numpy as np

from proofload.analysis.summary import ANSWERED, with_outcome
from proofload.clock import NS_PER_S
from proofload.procedures import Running
from proofload.records import Outcome

_LOOK_S = 0.1
_BEHIND_S = 1.0
"""Answers to messages that were due no longer ago than this, and a few messages' time: the stream has caught up."""


class Watch:
    """What has been answered so far of load that is under way."""

    def __init__(self, running: Running, rate_rps: float) -> None:
        self._running = running
        self._behind_ns = round((_BEHIND_S + 5.0 / rate_rps) * NS_PER_S)
        self._newest_ns = 0
        self.answered = 0
        self.missing = 0
        """Given up without an answer."""
        self.look()  # what is not asked for soon is let go

    def calm(self, seconds: float) -> None:
        """Let the load go on."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and self._running.wait(min(_LOOK_S, left)):
            self.look()
        self.look()

    def until_caught_up(self, patience_s: float) -> bool:
        """Returns when messages sent from now on are answered about as soon as they are sent; False when that takes
        too long."""
        since_ns = monotonic_ns()
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            self.calm(_LOOK_S)
            if self._newest_ns > max(since_ns, monotonic_ns() - self._behind_ns):
                return True
        return False

    def look(self) -> None:
        """Take note of what has become final."""
        taken = self._running.taken()
        answered = taken.table[with_outcome(taken, *ANSWERED, Outcome.SHED)]
        self.answered += len(answered)
        self.missing += int(np.count_nonzero(taken.outcome == Outcome.TIMEOUT))
        if len(answered):
            self._newest_ns = max(self._newest_ns, int(np.max(answered["intended_ns"])))
