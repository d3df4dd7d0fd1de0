"""Card transactions: raw in, features computed here at request time, the probability of fraud out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload_servers.serving import features
from proofload_servers.serving.card import Card
from proofload_servers.serving.refusals import InvalidInput, StartupError

from . import float32_identity, scalars


class TransactionKind:
    """The row is the feature vector in the order of the card; NaN is a missing value, which the model knows."""

    member = "transaction"

    def __init__(self, card: Card) -> None:
        if card.schema_sha256 != features.schema_sha256():
            raise StartupError(
                f"{card.folder}: the model was trained on features with schema {card.schema_sha256[:12]}…, this server "
                f"computes {features.schema_sha256()[:12]}…; serving it would be skew: build the model again"
            )
        self._column = int(card.output.get("column", -1))
        self._names = [str(feature["name"]) for feature in card.features]

    def prepare(self, given: Any) -> list[float]:
        if not isinstance(given, Mapping):
            raise InvalidInput("transaction must be an object")
        try:
            return features.compute(given)
        except features.InvalidTransaction as exc:
            raise InvalidInput(f"transaction.{exc.field}: {exc.problem}") from exc

    def identity(self, row: list[float]) -> bytes:
        return float32_identity(row)

    def explain(self, row: list[float]) -> Mapping[str, Any]:
        return {name: None if math.isnan(value) else value for name, value in zip(self._names, row, strict=True)}

    def stack(self, rows: Sequence[list[float]]) -> NDArray[np.float32]:
        return np.array(rows, dtype=np.float32)

    def predictions(self, outputs: NDArray[Any]) -> list[Any]:
        return scalars(outputs, self._column)

    def sample(self) -> list[float]:
        return [0.0] * len(self._names)
