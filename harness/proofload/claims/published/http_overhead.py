"""HTTP adds 5 to 20 ms to an answer."""

from __future__ import annotations

from proofload.claims import Claim, Measured, Prediction
from proofload.claims.laboratory import Arm, Laboratory
from proofload.claims.quantities import percentile


def create() -> Claim:
    return Claim(
        number=1,
        name="http-overhead",
        says="HTTP adds 5–20 ms to a prediction",
        source="guides to serving, comparing REST with gRPC",
        predicts=Prediction("p50 of a whole HTTP request for a model of 20 µs", "ms", 5.0, 20.0),
        how="FastAPI serves the smallest model over loopback, so nearly all of the latency is HTTP, server included.",
        measure=measure,
    )


def measure(laboratory: Laboratory) -> Measured:
    runs = laboratory.in_turn(http=Arm("fastapi", 200.0, 4.0, model="scorer"))
    return percentile(runs["http"], "p50", "FastAPI with the model scorer at 200/s, without a network")
