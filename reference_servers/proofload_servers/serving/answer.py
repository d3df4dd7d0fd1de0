"""What comes back from the core for one request that was computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """One prediction, with the model that made it: name and version come from the model, never from the request.

    `queue_ms` is the time from admission to the start of the computation, waiting for company included;
    `compute_ms` the duration of the whole batch that carried the request, assembling included.
    """

    id: str
    prediction: Any  # a number, or {"class": int, "score": float}
    model_name: str
    model_version: str
    queue_ms: float
    compute_ms: float
    features: Mapping[str, Any] | None = None

    def body(self) -> dict[str, Any]:
        """The response of the contract, ready for a JSON encoder."""
        body: dict[str, Any] = {
            "id": self.id,
            "prediction": self.prediction,
            "model": {"name": self.model_name, "version": self.model_version},
            "timing_ms": {"queue": round(self.queue_ms, 3), "compute": round(self.compute_ms, 3)},
        }
        if self.features is not None:
            body["features"] = self.features
        return body
