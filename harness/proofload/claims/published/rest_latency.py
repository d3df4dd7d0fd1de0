"""A model behind REST answers in 50 to 200 ms."""

from __future__ import annotations

from proofload.claims import Claim, Measured, Prediction
from proofload.claims.laboratory import Arm, Laboratory
from proofload.claims.quantities import percentile


def create() -> Claim:
    return Claim(
        number=2,
        name="rest-latency",
        says="REST with Flask or FastAPI answers in 50–200 ms",
        source="course notes on serving patterns",
        predicts=Prediction("p50 of the fraud model behind Flask", "ms", 50.0, 200.0),
        how="Flask serves a forest of trees that computes its features from a transaction, 200 of them a second.",
        measure=measure,
    )


def measure(laboratory: Laboratory) -> Measured:
    runs = laboratory.in_turn(flask=Arm("flask", 200.0, 4.0, model="fraud"))
    return percentile(runs["flask"], "p50", "Flask with the model fraud at 200/s, without a network")
