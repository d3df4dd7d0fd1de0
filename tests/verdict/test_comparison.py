"""Five standings: what each needs, and that the last two are never green."""

from __future__ import annotations

import itertools
import math

import pytest

from proofload.analysis.pairs import Estimate, SignFlips, pairs_for
from proofload.records import Status
from proofload.verdict.comparison import GREEN, Stakes, Standing, by_verdict, exit_code, overall, stand

STAKES = Stakes(margin=0.05, floor=0.02, alpha=0.01, signs_alpha=0.005)
AGREED = SignFlips(above=0.0002, below=1.0)
MIXED = SignFlips(above=0.02, below=0.99)
GAINED = SignFlips(above=1.0, below=0.0002)


def seen(low: float, high: float, n: int = 12) -> Estimate:
    middle = (low + high) / 2
    return Estimate(n, middle, low, high, error=(high - low) / 6, freedom=n - 1)


@pytest.mark.parametrize(
    ("low", "high", "signs", "standing"),
    [
        (0.06, 0.12, AGREED, Standing.WORSE),
        (0.04, 0.12, AGREED, Standing.INCONCLUSIVE),  # part of it may not matter
        (0.06, 0.12, MIXED, Standing.INCONCLUSIVE),  # the pairs do not agree
        (-0.03, 0.04, AGREED, Standing.EQUIVALENT),
        (-0.04, -0.03, GAINED, Standing.EQUIVALENT),  # better, and by less than matters
        (-0.09, -0.03, GAINED, Standing.BETTER),
        (-0.09, -0.01, GAINED, Standing.INCONCLUSIVE),  # within what it differs from itself
        (-0.2, 0.2, MIXED, Standing.INCONCLUSIVE),
    ],
)
def test_the_whole_interval_decides(low: float, high: float, signs: SignFlips, standing: Standing) -> None:
    assert stand(seen(low, high), signs, STAKES).standing is standing


def test_noise_larger_than_the_margin_takes_its_place_in_what_is_worse() -> None:
    loud = Stakes(margin=0.05, floor=0.1, alpha=0.01, signs_alpha=0.005)
    assert stand(seen(0.06, 0.12), AGREED, loud).standing is Standing.INCONCLUSIVE
    assert stand(seen(0.11, 0.15), AGREED, loud).standing is Standing.WORSE
    assert stand(seen(-0.08, 0.08), AGREED, loud).standing is Standing.INCONCLUSIVE, "noise makes nothing equivalent"


def test_signs_are_not_asked_of_fewer_than_eight_pairs() -> None:
    assert stand(seen(0.06, 0.12, n=7), None, STAKES).standing is Standing.WORSE


def test_nothing_to_go_by_is_not_comparable() -> None:
    assert stand(None, None, STAKES).standing is Standing.NOT_COMPARABLE


def test_what_is_open_says_how_many_pairs_would_tell() -> None:
    found = stand(seen(-0.01, 0.07), MIXED, STAKES)
    assert found.pairs_needed is not None
    assert found.pairs_needed > 12
    assert "worse" in found.because


@pytest.mark.parametrize(
    ("low", "high", "reach"),
    [
        (-0.03, 0.09, math.log1p(0.05) - 0.03),  # the same is nearest: up to the margin, from within it
        (-0.07, 0.03, math.log1p(0.05) - 0.02),
        (-0.16, 0.0, 0.08 - 0.02),  # better: from 8 % below to what it differs from itself
        (0.02, 0.18, 0.1 - math.log1p(0.05)),  # worse: from 10 % above down to the margin
    ],
)
def test_as_many_as_bring_the_interval_to_the_nearest_standing(low: float, high: float, reach: float) -> None:
    found = seen(low, high)
    nearly, just = (pairs_for(found, reach=reach * by, alpha=STAKES.alpha) for by in (1.001, 0.999))
    needed = stand(found, MIXED, STAKES).pairs_needed
    assert nearly is not None
    assert just is not None
    assert needed is not None
    assert nearly <= needed <= just


def test_worse_anywhere_is_worse_and_green_needs_everything_required() -> None:
    w, b, e, i, n = (
        Standing.WORSE,
        Standing.BETTER,
        Standing.EQUIVALENT,
        Standing.INCONCLUSIVE,
        Standing.NOT_COMPARABLE,
    )
    assert overall([e, b]) is b
    assert overall([e, e]) is e
    assert overall([b, w]) is w
    assert overall([e], [w]) is w
    assert overall([e], [i]) is e
    assert overall([]) is n
    for bad in (i, n):
        for row in itertools.product((b, e, bad), repeat=2):
            assert (overall(row) in GREEN) is (bad not in row)


def test_exit_codes() -> None:
    assert exit_code([Standing.BETTER, Standing.EQUIVALENT]) == 0
    assert exit_code([Standing.INCONCLUSIVE, Standing.WORSE]) == 1
    assert exit_code([Standing.BETTER, Standing.INCONCLUSIVE]) == 3
    assert exit_code([Standing.NOT_COMPARABLE]) == 3
    assert exit_code([]) == 3


@pytest.mark.parametrize(
    ("baseline", "candidate", "standing"),
    [
        (Status.PASS, Status.PASS, Standing.EQUIVALENT),
        (Status.PASS, Status.FAIL, Standing.WORSE),
        (Status.FAIL, Status.PASS, Standing.BETTER),
        (Status.FAIL, Status.FAIL, Standing.INCONCLUSIVE),
        (Status.PASS, Status.INCONCLUSIVE, Standing.INCONCLUSIVE),
        (Status.FAIL, Status.INCONCLUSIVE, Standing.INCONCLUSIVE),
        (Status.INVALID, Status.PASS, Standing.NOT_COMPARABLE),
        (Status.FAIL, None, Standing.NOT_COMPARABLE),
    ],
)
def test_two_verdicts_beside_each_other(baseline: Status | None, candidate: Status | None, standing: Standing) -> None:
    assert by_verdict(baseline, candidate).standing is standing


def test_two_that_fail_are_never_green_and_say_so() -> None:
    found = by_verdict(Status.FAIL, Status.FAIL)
    assert found.standing not in GREEN
    assert "both fail" in found.because
    assert exit_code([found.standing]) == 3
    assert "both pass" in by_verdict(Status.PASS, Status.PASS).because
