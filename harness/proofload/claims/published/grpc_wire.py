"""gRPC cuts the latency of the wire by 50 to 90 %."""

from __future__ import annotations

from proofload.claims import Claim, Measured, Prediction
from proofload.claims.laboratory import Arm, Laboratory
from proofload.claims.quantities import latency_ratio


def create() -> Claim:
    return Claim(
        number=3,
        name="grpc-wire",
        says="gRPC cuts the latency of the wire by 50–90 %",
        source="guides to serving, comparing REST with gRPC",
        predicts=Prediction("p50 over gRPC, of that over HTTP", "%", 10.0, 50.0),
        how="FastAPI and the gRPC server take turns with the smallest model, at the same rate.",
        measure=measure,
    )


def measure(laboratory: Laboratory) -> Measured:
    runs = laboratory.in_turn(
        grpc=Arm("grpc", 200.0, 3.0, model="scorer"), http=Arm("fastapi", 200.0, 3.0, model="scorer")
    )
    return latency_ratio(runs["grpc"], runs["http"], "scorer at 200/s: gRPC {}, FastAPI {}", unit=100.0)
