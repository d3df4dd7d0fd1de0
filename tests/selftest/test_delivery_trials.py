"""The trials of kafka-delivery keep what they state, on a small number of histories."""

from __future__ import annotations

import pytest

from proofload.records import Status
from proofload.selftest import Shape
from proofload.selftest.simulated import tally
from proofload.selftest.trials.delivery import create

HISTORIES = 60


@pytest.mark.parametrize("shape", create().shapes(), ids=lambda shape: shape.name)
def test_a_shape_is_decided_as_stated(shape: Shape) -> None:
    seen = tally(shape, HISTORIES)
    if shape.kind in {"null", "coverage"}:
        assert seen.lower(Status.FAIL) <= (shape.alpha or 0.0)
    if shape.detect is not None:
        assert seen.upper(Status.FAIL) >= shape.detect
    if shape.kind == "effect":
        assert seen.lower(Status.PASS) <= (shape.alpha or 0.0)
