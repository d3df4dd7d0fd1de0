"""Predictions kept of answers: numbers into the samples, and a mirror's compared with its original's."""

from __future__ import annotations

import math
from typing import Any

from proofload.engine.answers import MISSING, agrees
from proofload.engine.ring import Ring
from proofload.records import Agreement

_SAME, _DIFFERENT = int(Agreement.SAME), int(Agreement.DIFFERENT)
_WAITING = 50_000
"""Predictions that may wait for their pair's other half: bounds memory."""


class Pairing:
    """Told of every answer that was judged.

    A mirror is the row after its original, so the original is final before the mirror's row is handed over:
    whichever is answered last, the mirror's row can still be written to.
    """

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._mask = ring.mask
        views = ring.views
        self._mirror, self._seq, self._phase = views["mirror"], views["seq"], views["phase"]
        self._agrees, self._score = views["agrees"], views["score"]
        self._waiting: dict[int, Any] = {}

    def seen(self, row: int, prediction: Any, rtol: float) -> None:
        """`prediction` may be MISSING: such a pair stays uncompared."""
        slot = row & self._mask
        self._score[slot] = _number(prediction)
        if self._mirror[slot]:
            original, mirror = row - 1, row
        elif self._is_mirrored(row, slot):
            original, mirror = row, row + 1
        else:
            return
        other = self._waiting.pop(original, None)
        if other is None:
            self._keep(original, prediction)
        elif prediction is not MISSING and other is not MISSING:
            same = agrees(other, prediction, rtol)
            self._agrees[mirror & self._mask] = _SAME if same else _DIFFERENT

    def _is_mirrored(self, row: int, slot: int) -> bool:
        following = (row + 1) & self._mask
        return (
            row + 1 < self._ring.planned
            and bool(self._mirror[following])
            and self._seq[following] == self._seq[slot]
            and self._phase[following] == self._phase[slot]
        )

    def _keep(self, original: int, prediction: Any) -> None:
        if len(self._waiting) >= _WAITING:  # their other halves never came
            settled = self._ring.settled
            self._waiting = {row: value for row, value in self._waiting.items() if row + 1 >= settled}
        self._waiting[original] = prediction


def _number(prediction: Any) -> float:
    if isinstance(prediction, (int, float)):
        try:
            return float(prediction)
        except OverflowError:
            return math.nan
    return math.nan
