"""INT8 is two to four times as fast as FP32."""

from __future__ import annotations

from proofload.claims import Claim, Measured, Prediction
from proofload.claims.laboratory import Arm, Laboratory
from proofload.claims.quantities import latency_ratio


def create() -> Claim:
    return Claim(
        number=8,
        name="int8",
        says="INT8 is 2–4 times as fast as FP32",
        source="guides to quantisation with ONNX Runtime and TensorRT",
        predicts=Prediction("p50 in FP32 ÷ p50 in INT8, ResNet-50, one at a time, one thread", "×", 2.0, 4.0),
        how="FastAPI serves resnet50 and resnet50-int8 (quantised after training) in turn, ten evenly spaced requests "
        "a second, so that none waits for another. It needs a CPU with instructions for eight bits (VNNI).",
        measure=measure,
    )


def measure(laboratory: Laboratory) -> Measured:
    runs = laboratory.in_turn(
        fp32=Arm("fastapi", 10.0, 5.5, model="resnet50", arrival="constant"),
        int8=Arm("fastapi", 10.0, 5.5, model="resnet50-int8", arrival="constant"),
    )
    return latency_ratio(runs["fp32"], runs["int8"], "whole requests at 10/s: FP32 {}, INT8 {}")
