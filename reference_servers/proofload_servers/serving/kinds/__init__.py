"""What a model eats, one file per kind: from a request to a row, from rows to a batch, from outputs to predictions.

`prepare` runs on the caller's thread, so it is cheap and says no early; `stack` and `predictions` run on the batching
thread. Rows stay small while they wait: an image waits as its bytes, not as its 600 kB of floats.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from proofload_servers.serving.card import Card
from proofload_servers.serving.refusals import InvalidInput, StartupError

MEMBERS = ("transaction", "values", "image")


class Kind(Protocol):
    """One kind of model."""

    member: str  # the member of the request that carries the input

    def prepare(self, given: Any) -> Any:
        """The row of one request's input. Raises InvalidInput, whose message names the field and echoes no value."""

    def identity(self, row: Any) -> bytes:
        """Equal for rows that the model cannot tell apart, different for all others: what a cache may go by."""

    def explain(self, row: Any) -> Mapping[str, Any]:
        """The model's features by name, None for a missing one; empty where a model has no named features."""

    def stack(self, rows: Sequence[Any]) -> NDArray[np.float32]:
        """The batch, (len(rows), …)."""

    def predictions(self, outputs: NDArray[Any]) -> list[Any]:
        """JSON-ready predictions, one per row of the output."""

    def sample(self) -> Any:
        """A row to warm up with."""


def kind_of(card: Card) -> Kind:
    """The kind that the card names. Raises StartupError for an unknown one."""
    match card.kind:
        case "transaction":
            from .transaction import TransactionKind

            return TransactionKind(card)
        case "vector":
            from .vector import VectorKind

            return VectorKind(card)
        case "image":
            from .image import ImageKind

            return ImageKind(card)
        case _:
            raise StartupError(f"{card.folder}: unknown kind {card.kind!r}; known: transaction, vector, image")


def input_of(request: Mapping[str, Any], member: str) -> Any:
    """The one input of a request, which must be `member` and no other. Raises InvalidInput."""
    given = [name for name in MEMBERS if name in request]
    if given != [member]:
        raise InvalidInput(
            f"this model takes exactly the member {member!r}" + (f", not {', '.join(given)}" if given else "")
        )
    return request[member]


def float32_identity(row: Sequence[float]) -> bytes:
    """The numbers as `stack` gives them to the model; all NaNs, which stand for missing, are one."""
    numbers = array("f", row)
    if math.isnan(sum(numbers)):
        numbers = array("f", [math.nan if math.isnan(number) else number for number in numbers])
    return numbers.tobytes()


def scalars(outputs: NDArray[Any], column: int) -> list[float]:
    """One number per row: the card's column of the output."""
    chosen = outputs if outputs.ndim == 1 else outputs[:, column]
    numbers: list[float] = chosen.tolist()
    return numbers
