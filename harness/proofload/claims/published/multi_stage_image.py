"""A multi-stage image is 65 % smaller (450 → 158 MB)."""

from __future__ import annotations

from proofload.claims import Claim, Prediction


def create() -> Claim:
    return Claim(
        number=16,
        name="multi-stage-image",
        says="A multi-stage image is 65 % smaller (450 → 158 MB)",
        source="guides to container images",
        predicts=Prediction("size of a multi-stage image, of that of one stage", "%", None, 40.0),
        untried="it needs an image built in one stage to compare with; docs/images.md tells what ours adds to its base",
    )
