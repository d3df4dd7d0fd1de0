"""Answers kept whole, for scenarios that look into them: one file of JSON lines for each engine process."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path

import orjson

from proofload.engine.answers import AnswerCheck
from proofload.engine.ring import Ring

MAX_BYTES = 1 << 30
"""More than this is not written: answers are kept at low rates, for minutes."""


class Capture:
    """Writes {"phase", "seq", "arm", "payload", "answer"} for each answer of the phases that are captured.

    An answer that is no JSON is kept as {"unreadable": text}.
    """

    def __init__(self, ring: Ring, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        self._mask = ring.mask
        self._views = ring.views
        self._left = MAX_BYTES
        self.phases: AbstractSet[int] = frozenset()

    def __call__(self, row: int, body: bytes, check: AnswerCheck) -> None:
        slot = row & self._mask
        phase = self._views["phase"][slot]
        if phase not in self.phases or self._left <= 0:
            return
        try:
            answer = check.read(body)
        except Exception:  # noqa: BLE001  whatever a foreign answer is, it is kept as it came
            answer = {"unreadable": body.decode("utf-8", "replace")}
        views = self._views
        line = orjson.dumps(
            {
                "phase": phase,
                "seq": views["seq"][slot],
                "arm": views["arm"][slot],
                "payload": views["payload"][slot],
                "answer": answer,
            },
            option=orjson.OPT_NON_STR_KEYS,
        )
        self._left -= len(line) + 1
        self._file.write(line + b"\n")

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()
