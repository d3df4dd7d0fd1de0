"""TensorRT is 2–5 times as fast as PyTorch."""

from __future__ import annotations

from proofload.claims import Claim, Prediction


def create() -> Claim:
    return Claim(
        number=14,
        name="tensorrt",
        says="TensorRT is 2–5 times as fast as PyTorch",
        source="a published table for ResNet-50 on an A100",
        predicts=Prediction("throughput of TensorRT ÷ PyTorch", "×", 2.0, 5.0),
        untried="it needs an NVIDIA GPU, and PyTorch to compare with",
    )
