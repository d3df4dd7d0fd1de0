"""Trials of canary-rollback on a few dozen histories each; `proofload selftest` takes ten thousand."""

from __future__ import annotations

import pytest

from proofload.records import Status
from proofload.selftest import Shape
from proofload.selftest.plantings import canary_rollback
from proofload.selftest.simulated import tally
from proofload.selftest.trials import canary_guards, canary_shares
from proofload.verdict.causes import CAUSES

SHAPES = [shape for module in (canary_guards, canary_shares) for shape in module.create().shapes()]
HISTORIES = 20


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_decisions_keep_what_they_state(shape: Shape) -> None:
    seen = tally(shape, HISTORIES)
    if shape.kind == "null":
        assert shape.alpha is not None
        assert seen.lower(Status.FAIL) <= 1.3 * shape.alpha  # what so few histories can refute
    if shape.detect is not None:
        assert seen.upper(Status.FAIL) >= shape.detect


def test_the_shapes_have_names_of_their_own() -> None:
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)


def test_every_planted_defect_has_a_known_cause_and_sound_versions_must_pass() -> None:
    cases = canary_rollback.create().cases
    assert all(set(case.expect) <= set(CAUSES) for case in cases)
    assert sum(not case.expect for case in cases) >= 3
