"""On large payloads gRPC is 9 to 10 times better."""

from __future__ import annotations

from proofload.claims import Claim, Measured, Prediction
from proofload.claims.laboratory import Arm, Laboratory
from proofload.claims.quantities import latency_ratio


def create() -> Claim:
    return Claim(
        number=4,
        name="grpc-large",
        says="gRPC is 9–10 times better on large payloads",
        source="guides to serving, comparing REST with gRPC",
        predicts=Prediction("p50 over HTTP ÷ p50 over gRPC, for 16,384 numbers", "×", 9.0, 10.0),
        how="The model wide takes 128 KiB of protobuf or 180 kB of JSON and hardly computes; both servers take turns.",
        measure=measure,
    )


def measure(laboratory: Laboratory) -> Measured:
    runs = laboratory.in_turn(http=Arm("fastapi", 40.0, 4.0, model="wide"), grpc=Arm("grpc", 40.0, 4.0, model="wide"))
    return latency_ratio(runs["http"], runs["grpc"], "wide at 40/s: FastAPI {}, gRPC {}")
