"""The decisions of skew on a hundred simulated histories a shape; ten thousand are the self-test's."""

from __future__ import annotations

import pytest

from proofload.discovery import module_for
from proofload.records import Status
from proofload.selftest import Shape
from proofload.selftest.simulated import tally

HISTORIES = 60
SHAPES = [
    (f"{name}: {shape.name}", shape)
    for name in ("skew-parity", "skew-drift", "skew-causes", "skew-strays")
    for shape in module_for("trial", name).create().shapes()
]


@pytest.mark.parametrize("shape", [shape for _, shape in SHAPES], ids=[name for name, _ in SHAPES])
def test_decisions_keep_their_rates(shape: Shape) -> None:
    counted = tally(shape, HISTORIES)
    if shape.kind == "null":
        assert counted.counts.get(Status.FAIL, 0) <= 2
    if shape.kind == "effect" and shape.detect is not None:
        assert counted.share(Status.FAIL) >= 0.95
    if shape.kind == "effect" and shape.alpha is not None:
        assert counted.counts.get(Status.PASS, 0) <= 8
