"""A few hundred histories of each shape; ten thousand are for `proofload selftest`."""

from __future__ import annotations

import pytest

from proofload.records import Status
from proofload.selftest import Shape
from proofload.selftest.plantings import peak_10x
from proofload.selftest.simulated import tally
from proofload.selftest.trials import peak_cliff, peak_light_load, peak_peers, peak_recovery
from proofload.verdict.causes import CAUSES

SHAPES = [
    shape for module in (peak_cliff, peak_recovery, peak_light_load, peak_peers) for shape in module.create().shapes()
]
HISTORIES = 200


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_decisions_keep_what_they_state(shape: Shape) -> None:
    seen = tally(shape, HISTORIES)
    if shape.kind == "null":
        assert shape.alpha is not None
        assert seen.lower(Status.FAIL) <= shape.alpha  # what so few histories can refute
    if shape.kind == "coverage":
        assert shape.alpha is not None
        assert seen.lower(Status.FAIL) <= 1.3 * shape.alpha
    if shape.detect is not None:
        assert seen.upper(Status.FAIL) >= shape.detect


def test_the_shapes_have_names_of_their_own() -> None:
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)


def test_every_planted_defect_has_a_known_cause() -> None:
    cases = peak_10x.create()
    assert all(set(case.expect) <= set(CAUSES) for case in cases)
    assert {case.fault for case in cases if case.fault} == set(peak_10x.DEFECTS)
    assert any(not case.expect for case in cases)
