"""Decisions about two versions keep what they state, as far as few histories can tell; ten thousand are for
`proofload selftest`."""

from __future__ import annotations

import pytest

from proofload.records import Status
from proofload.selftest import Shape
from proofload.selftest.plantings import ab_test as ab_cases
from proofload.selftest.plantings import blue_green as blue_green_cases
from proofload.selftest.plantings import shadow as shadow_cases
from proofload.selftest.simulated import tally
from proofload.selftest.trials import ab_test, blue_green, shadow
from proofload.verdict.causes import CAUSES

SHAPES = [shape for module in (ab_test, shadow, blue_green) for shape in module.create().shapes()]
HISTORIES = 40


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_decisions_keep_what_they_state(shape: Shape) -> None:
    seen = tally(shape, HISTORIES)
    assert shape.alpha is not None
    if shape.kind in {"null", "coverage"}:
        assert seen.lower(Status.FAIL) <= 1.3 * shape.alpha
    else:
        assert seen.lower(Status.PASS) <= 1.3 * shape.alpha
    if shape.detect is not None:
        assert seen.upper(Status.FAIL) >= shape.detect


def test_shapes_of_a_scenario_have_names_of_their_own() -> None:
    for module in (ab_test, shadow, blue_green):
        names = [shape.name for shape in module.create().shapes()]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("module", [ab_cases, shadow_cases, blue_green_cases])
def test_every_planted_defect_has_a_known_cause_and_there_are_healthy_cases(module: object) -> None:
    cases = module.create()  # type: ignore[attr-defined]  # a module of plantings
    assert all(set(case.expect) <= set(CAUSES) for case in cases)
    assert any(case.expect for case in cases)
    assert sum(not case.expect for case in cases) >= 2
