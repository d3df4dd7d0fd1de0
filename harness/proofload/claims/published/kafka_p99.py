"""Kafka answers in single-digit milliseconds at p99."""

from __future__ import annotations

import os

from proofload.claims import Claim, Measured, Prediction
from proofload.claims.laboratory import Arm, Laboratory
from proofload.claims.quantities import percentile
from proofload.claims.ruling import Ruling, of_stand_in

PREDICTS = Prediction("p99 from request to reply through two topics", "ms", None, 10.0)


def create() -> Claim:
    return Claim(
        number=6,
        name="kafka-p99",
        says="A Kafka worker answers in single-digit milliseconds at p99",
        source="course notes on serving patterns",
        predicts=PREDICTS,
        how="The Kafka worker serves the smallest model at 300/s. Unless PROOFLOAD_CLAIMS_BROKER names one "
        "(host:port, or container), the broker is the mock in librdkafka, whose own time is in the figure: then only a "
        "confirmation counts.",
        measure=measure,
    )


def measure(laboratory: Laboratory) -> Measured:
    broker = os.environ.get("PROOFLOAD_CLAIMS_BROKER", "")
    changes = {"broker": broker} if broker else {}
    runs = laboratory.in_turn(kafka=Arm("kafka", 300.0, 8.0, model="scorer", changes=changes, quick_s=8.0))["kafka"]
    used = f"a real broker ({broker})" if broker else "librdkafka's mock broker"
    found = percentile(runs, "p99", f"scorer at 300/s by way of {used}")
    return found if broker else of_stand_in(PREDICTS, found, but=Ruling.CONFIRMED)
