"""Trials of canary-rollback on a few dozen histories each; `proofload selftest` takes ten thousand."""

from __future__ import annotations

import pytest
from scipy.stats import binom

from proofload.records import Status
from proofload.selftest import Shape
from proofload.selftest.plantings import canary_rollback
from proofload.selftest.simulated import tally
from proofload.selftest.trials import canary_guards, canary_shares
from proofload.verdict.causes import CAUSES

SHAPES = [shape for module in (canary_guards, canary_shares) for shape in module.create().shapes()]
HISTORIES = 20
BEYOND_CHANCE = 1e-5


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_decisions_keep_what_they_state(shape: Shape) -> None:
    """More wrong verdicts than come about once in 100,000 at the stated rates refute them."""
    counts = tally(shape, HISTORIES).counts
    if shape.kind == "null":
        assert shape.alpha is not None
        assert counts.get(Status.FAIL, 0) <= most(shape.alpha)
    if shape.kind == "effect":
        assert shape.alpha is not None  # it may not be passed, either
        assert counts.get(Status.PASS, 0) <= most(shape.alpha)
    if shape.detect is not None:
        assert HISTORIES - counts.get(Status.FAIL, 0) <= most(1 - shape.detect)


def most(rate: float) -> int:
    return int(binom.isf(BEYOND_CHANCE, HISTORIES, rate))


def test_a_low_rate_and_few_users_are_among_them() -> None:
    effects = " ".join(shape.name for shape in SHAPES if shape.kind == "effect")
    assert "30 requests/s" in effects
    assert "60 requests/s" in effects
    assert "20 users" in effects


def test_the_shapes_have_names_of_their_own() -> None:
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)


def test_every_planted_defect_has_a_known_cause_and_sound_versions_must_pass() -> None:
    cases = canary_rollback.create()
    assert all(set(case.expect) <= set(CAUSES) for case in cases)
    assert sum(not case.expect for case in cases) >= 3
