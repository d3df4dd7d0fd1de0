"""A kind of model whose rows are computed otherwise than in training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload_servers.serving.kinds import Kind
from proofload_servers.serving.seams import Seams

Change = Callable[[list[float], Mapping[str, int]], list[float]]
"""(row, place of each named feature) -> what the model gets and `explain` shows."""
Before = Callable[[Any], Any]
"""The request's input, before features are computed of it."""


def rows_changed(change: Change) -> Seams:
    """Of models that take vectors or transactions; others are left alone."""
    return Seams(kind=lambda kind: _Changed(kind, change=change) if kind.member != "image" else kind)


def inputs_changed(before: Before) -> Seams:
    """Of any model; what cannot be changed, `before` gives back as it came."""
    return Seams(kind=lambda kind: _Changed(kind, before=before))


class _Changed:
    def __init__(self, kind: Kind, *, before: Before | None = None, change: Change | None = None) -> None:
        self.member = kind.member
        self._kind = kind
        self._before = before
        self._change = change
        self._places = {name: place for place, name in enumerate(kind.explain(kind.sample()))}

    def prepare(self, given: Any) -> Any:
        row = self._kind.prepare(given if self._before is None else self._before(given))
        return row if self._change is None else self._change(list(row), self._places)

    def identity(self, row: Any) -> bytes:
        return self._kind.identity(row)

    def explain(self, row: Any) -> Mapping[str, Any]:
        return self._kind.explain(row)

    def stack(self, rows: Sequence[Any]) -> NDArray[np.float32]:
        return self._kind.stack(rows)

    def predictions(self, outputs: NDArray[Any]) -> list[Any]:
        return self._kind.predictions(outputs)

    def sample(self) -> Any:
        return self._kind.sample()
