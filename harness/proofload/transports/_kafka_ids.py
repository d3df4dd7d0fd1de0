"""Which reply belongs to which request: correlation ids that never repeat, and what became of each.

An id is `<run nonce><worker>-<counter>` in hexadecimal. The counter, not the row, travels: a row's handle may be
used again, and a reply that comes late must not be taken for the new request's.
"""

from __future__ import annotations

import secrets
from array import array
from collections.abc import Callable
from time import monotonic_ns
from typing import Final

from proofload.clock import NS_PER_S

UNKNOWN: Final = -1
"""Never issued here: another run's, another client's, or no correlation id at all."""
DUPLICATE: Final = -2
"""Its request had its answer already."""
LATE: Final = -3
"""Its request was given up before, and this is the first answer to it."""

_REMEMBERED = 1 << 17
"""Abandoned ids that may still wait in the broker, at most."""
_LOST_AFTER_NS = 30 * NS_PER_S
"""An abandoned request without a reply for so long is not in the broker any more: it was lost."""
WINDOW = 1 << 21
"""Ids whose fate is known for sure, the last so many (at 1,000 a second: 35 minutes). Of an older one, a reply
counts as a duplicate, because nearly every request has had its answer by then."""
_STEP = 1 << 14
"""The memory of the window grows by so many ids at a time, 9 bytes each."""


def new_nonce() -> str:
    return secrets.token_hex(5)


class Correlations:
    """The open requests of one engine process, and for a long while the closed ones."""

    def __init__(
        self,
        worker: int,
        nonce: Callable[[], str] = new_nonce,
        now: Callable[[], int] = monotonic_ns,
        window: int = WINDOW,
    ) -> None:
        self._now = now
        self._prefix = f"{nonce()}{worker:02x}-".encode("ascii")
        self._start = len(self._prefix)
        self._next = 0
        self._window = window
        self._rows: dict[int, int] = {}
        self._counters: dict[int, int] = {}
        self._abandoned: dict[int, int] = {}
        self._answered = bytearray()
        self._row_of = array("q")
        self.last = -1
        """The number of the id that `settle` saw last; -1 where it was unknown."""

    def __len__(self) -> int:
        """Requests without an answer."""
        return len(self._rows)

    @property
    def issued(self) -> int:
        """Ids issued so far; the next one has this number."""
        return self._next

    @property
    def underway(self) -> int:
        """Requests whose reply may still come, given up or not: at least what waits in the broker."""
        horizon = self._now() - _LOST_AFTER_NS
        abandoned = self._abandoned
        while abandoned and next(iter(abandoned.values())) < horizon:
            del abandoned[next(iter(abandoned))]
        return len(self._rows) + len(abandoned)

    def issue(self, row: int) -> bytes:
        """A new id for the request that `row` now stands for."""
        counter = self._next
        self._next = counter + 1
        self._rows[counter] = row
        self._counters[row] = counter
        slot = counter % self._window
        if slot >= len(self._row_of):
            self._row_of.frombytes(bytes(8 * _STEP))
            self._answered.extend(bytes(_STEP))
        self._row_of[slot] = row
        self._answered[slot] = 0
        return b"%b%x" % (self._prefix, counter)

    def settle(self, correlation: bytes | None) -> int:
        """The row a reply belongs to, which thereby has its answer; or UNKNOWN, DUPLICATE or LATE."""
        self.last = -1
        if correlation is None or not correlation.startswith(self._prefix):
            return UNKNOWN
        try:
            counter = int(correlation[self._start :], 16)
        except ValueError:
            return UNKNOWN
        if not 0 <= counter < self._next:
            return UNKNOWN
        self.last = counter
        row = self._rows.pop(counter, None)
        if row is not None:
            if self._counters.get(row) == counter:
                del self._counters[row]
            self._mark(counter, answered=True)
            return row
        self._abandoned.pop(counter, None)
        if counter < self._next - self._window or self._answered[counter % self._window]:
            return DUPLICATE
        self._mark(counter, answered=True)
        return LATE

    def row_of(self, counter: int) -> int:
        """The row that this id was issued for; -1 where that is forgotten."""
        return self._row_of[counter % self._window] if self._next - self._window <= counter < self._next else -1

    def abandon(self, row: int) -> bool:
        """Nobody waits for this row any more; False when nobody did."""
        counter = self._counters.pop(row, None)
        if counter is None:
            return False
        del self._rows[counter]
        self._remember(counter)
        return True

    def fail(self, correlation: bytes) -> int:
        """As `settle`, for a request that ended without a reply; one may come all the same and is then LATE."""
        row = self.settle(correlation)
        if row >= 0:
            self._mark(self.last, answered=False)
            self._remember(self.last)
        return row

    def _mark(self, counter: int, *, answered: bool) -> None:
        if counter >= self._next - self._window:
            self._answered[counter % self._window] = answered

    def _remember(self, counter: int) -> None:
        self._abandoned[counter] = self._now()
        if len(self._abandoned) > _REMEMBERED:
            del self._abandoned[next(iter(self._abandoned))]
