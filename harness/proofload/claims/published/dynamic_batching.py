"""Dynamic batching gives three to four times the throughput."""

from __future__ import annotations

from proofload.claims import Claim, Measured, Prediction
from proofload.claims.laboratory import Arm, Laboratory
from proofload.claims.quantities import goodput_ratio
from proofload.claims.ruling import of_stand_in

RATE_RPS = 6000.0
"""More than one core can do."""
PREDICTS = Prediction("goodput under overload, batches of up to 32 ÷ one at a time", "×", 3.0, 4.0)


def create() -> Claim:
    return Claim(
        number=7,
        name="dynamic-batching",
        says="Dynamic batching gives 3–4 times the throughput (73 → 272 inferences/s on a GPU)",
        source="NVIDIA Triton Inference Server, user guide, Optimization",
        predicts=PREDICTS,
        how="The gRPC server with the fraud model is offered 6,000/s, with and without --max-batch 1, on a CPU: it "
        "stands in for the image model on a GPU that is spoken of, so whatever is seen leaves that open.",
        measure=measure,
    )


def measure(laboratory: Laboratory) -> Measured:
    one = {"start.env.PROOFLOAD_MAX_BATCH": "1"}
    runs = laboratory.in_turn(
        batched=Arm("grpc", RATE_RPS, 4.0, model="fraud", timeout_s=2.0, quick_s=4.0),
        alone=Arm("grpc", RATE_RPS, 4.0, model="fraud", changes=one, timeout_s=2.0, quick_s=4.0),
    )
    found = goodput_ratio(
        runs["batched"], runs["alone"], "fraud on a CPU, offered 6,000/s: {} in batches, {} one at a time"
    )
    return of_stand_in(PREDICTS, found)
