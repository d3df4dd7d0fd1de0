"""What became of a stream's messages besides their first answer: late ones, surplus ones, ones out of order.

Kept by the correlation id's number, which rises in order of sending. An answer is *reordered* when the answer to a
message of the same key that was sent later stands before it in the same partition of the reply topic: the singleton
Type-P-Reordered of RFC 4737 (section 3.3), with one sequence for each key, and surplus answers left out. Between
partitions Kafka promises no order, so none is looked for.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from proofload.transports._kafka_ids import WINDOW

KINDS = ("late", "duplicated", "reordered")
PLACED_AT_ONCE = 1_000
"""Stretches of rows named in one event, at most."""
PLACED_IN_ALL = 20_000
"""Stretches named in a whole run, for each kind, at most: beyond them, events only count."""


@dataclass(slots=True)
class Stretches:
    """Rows in order of being noted, as [first, last] stretches; a row noted twice stands there twice."""

    left: int = PLACED_IN_ALL
    _spans: list[list[int]] = field(default_factory=list)

    def add(self, row: int) -> None:
        spans = self._spans
        if spans and row == spans[-1][1] + 1:
            spans[-1][1] = row
        elif len(spans) < min(PLACED_AT_ONCE, self.left):
            spans.append([row, row])

    def take(self) -> list[list[int]]:
        """What was noted since the last call."""
        taken, self._spans = self._spans, []
        self.left -= len(taken)
        return taken


class Delivery:
    """Of one engine process. `keys`: over how many keys messages are spread by payload number; 0: they have none,
    and then nothing can be said about their order."""

    def __init__(self, keys: int, window: int = WINDOW) -> None:
        self.keys = keys
        self._window = window
        self._key_of = array("i")
        self._counts: Counter[str] = Counter()
        self._rows = {kind: Stretches() for kind in KINDS}
        self._newest: dict[tuple[int, int], int] = {}

    def sent(self, number: int, payload: int) -> bytes | None:
        """The key for message `number`, which is sent now."""
        if not self.keys:
            return None
        key, slot = payload % self.keys, number % self._window
        if slot == len(self._key_of):
            self._key_of.append(key)
        else:
            self._key_of[slot] = key
        return b"key-%d" % key

    def first_answer(self, number: int, row: int, partition: int) -> None:
        """The first answer to message `number` came out of this partition of the reply topic."""
        if not self.keys:
            return
        at = (self._key_of[number % self._window], partition)
        if number < self._newest.get(at, -1):
            self._note("reordered", row)
        else:
            self._newest[at] = number

    def late(self, row: int) -> None:
        """The first answer to a message that had been given up."""
        self._note("late", row)

    def duplicated(self, row: int) -> None:
        """One more answer to a message that had its answer."""
        self._note("duplicated", row)

    def _note(self, kind: str, row: int) -> None:
        self._counts[kind] += 1
        if row >= 0:
            self._rows[kind].add(row)

    def news(self) -> dict[str, Any] | None:
        """What came about since the last call, as the detail of an event "delivery"; None: nothing."""
        if not self._counts:
            return None
        counts, self._counts = self._counts, Counter()
        return {"counts": dict(counts), "rows": {kind: self._rows[kind].take() for kind in KINDS if counts[kind]}}
