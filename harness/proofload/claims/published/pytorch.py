"""ONNX Runtime is 30 % to 3 times faster than PyTorch."""

from __future__ import annotations

from proofload.claims import Claim, Prediction


def create() -> Claim:
    return Claim(
        number=13,
        name="pytorch",
        says="ONNX Runtime is 30 % to 3 times faster than PyTorch",
        source="guides to ONNX Runtime",
        predicts=Prediction("throughput of ONNX Runtime ÷ PyTorch", "×", 1.3, 3.0),
        untried="none of the reference servers runs PyTorch, which is no dependency of this project",
    )
