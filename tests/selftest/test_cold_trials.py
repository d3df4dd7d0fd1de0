"""Trials of cold-start on a few hundred histories each; `proofload selftest` takes ten thousand."""

from __future__ import annotations

import pytest

from proofload.records import Status
from proofload.selftest import Shape
from proofload.selftest.plantings import cold_start
from proofload.selftest.simulated import tally
from proofload.selftest.trials import cold_false_ready, cold_first_requests, cold_scale_out, cold_time_to_ready
from proofload.verdict.causes import CAUSES

SHAPES = [
    shape
    for module in (cold_first_requests, cold_false_ready, cold_time_to_ready, cold_scale_out)
    for shape in module.create().shapes()
]
HISTORIES = 120


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_decisions_keep_what_they_state(shape: Shape) -> None:
    seen = tally(shape, HISTORIES)
    if shape.kind in {"null", "coverage"}:
        assert shape.alpha is not None
        assert seen.lower(Status.FAIL) <= 1.3 * shape.alpha  # what so few histories can refute
    if shape.kind == "effect" and shape.alpha is not None:
        assert seen.lower(Status.PASS) <= shape.alpha
    if shape.detect is not None:
        assert seen.upper(Status.FAIL) >= shape.detect


def test_the_shapes_have_names_of_their_own() -> None:
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)


def test_every_planted_defect_has_a_known_cause_and_healthy_servers_must_pass() -> None:
    cases = cold_start.create()
    assert all(set(case.expect) <= set(CAUSES) for case in cases)
    assert {case.fault for case in cases if case.expect} == set(cold_start.DEFECTS)
    assert {case.target for case in cases if not case.fault} == {"fastapi", "flask", "grpc"}
