"""FP16 is twice as fast as FP32."""

from __future__ import annotations

from proofload.claims import Claim, Prediction


def create() -> Claim:
    return Claim(
        number=15,
        name="fp16",
        says="FP16 is twice as fast as FP32",
        source="guides to TensorRT",
        predicts=Prediction("throughput of FP16 ÷ FP32", "×", 1.8, 2.2),
        untried="it needs a GPU: a CPU without instructions for 16 bits computes FP16 by way of FP32",
    )
