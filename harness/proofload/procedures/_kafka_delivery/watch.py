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
"""An answer within this, and a few messages' time, is prompt."""
_PROMPT = 5
"""So many prompt answers: the stream has caught up."""


class Watch:
    """What has been answered so far of load that is under way."""

    def __init__(self, running: Running, rate_rps: float) -> None:
        self._running = running
        self._behind_ns = round((_BEHIND_S + 5.0 / rate_rps) * NS_PER_S)
        self._since_ns = 0
        self._prompt = 0
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

    @property
    def recovered(self) -> bool:
        """Whether messages sent since `until_caught_up` was called were answered promptly."""
        return self._prompt >= _PROMPT

    def until_caught_up(self, patience_s: float) -> None:
        """Returns when messages sent from now on were answered promptly (`recovered`), or patience is at its end.

        Rows become final in order of due time, so a message that is lost holds this up until it is given up.
        """
        self._since_ns, self._prompt = monotonic_ns(), 0
        until = time.monotonic() + patience_s
        while not self.recovered and time.monotonic() < until:
            self.calm(_LOOK_S)

    def look(self) -> None:
        """Take note of what has become final."""
        taken = self._running.taken()
        answered = taken.table[with_outcome(taken, *ANSWERED, Outcome.SHED)]
        self.answered += len(answered)
        self.missing += int(np.count_nonzero(taken.outcome == Outcome.TIMEOUT))
        prompt = answered["done_ns"] - answered["intended_ns"] < self._behind_ns
        self._prompt += int(np.count_nonzero(prompt & (answered["intended_ns"] > self._since_ns)))
