"""E-processes: exact where all histories can be written down, and as strict as they say where they cannot."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom

from proofload.analysis.sequential import crossing, share_path, sign_path, threshold, wins_needed


def test_without_harm_a_sign_test_gains_nothing_on_average() -> None:
    """The mean of e over all sequences of fair signs is 1 after every block: it is a martingale."""
    paths = [np.exp(sign_path(np.array(signs, np.int8))) for signs in itertools.product((-1, 1), repeat=10)]
    assert np.mean(paths, axis=0) == pytest.approx(np.ones(10))


@pytest.mark.parametrize("starts", [(0, 3), (0, 2, 5), (0, 4, 4, 9)])
def test_later_starts_leave_that_as_it_is(starts: tuple[int, ...]) -> None:
    paths = [np.exp(sign_path(np.array(signs, np.int8), starts)) for signs in itertools.product((-1, 1), repeat=8)]
    assert np.mean(paths, axis=0) == pytest.approx(np.ones(8))


def test_blocks_without_a_sign_change_nothing() -> None:
    assert sign_path(np.zeros(5, np.int8)) == pytest.approx(np.zeros(5))
    assert len(sign_path(np.zeros(0, np.int8))) == 0


def test_a_canary_that_got_worse_after_hours_of_health_is_found_by_a_later_start() -> None:
    rng = np.random.default_rng(4)
    quiet, bad = rng.choice([-1, 1], 2000), np.ones(30, int)
    signs = np.concatenate([quiet, bad]).astype(np.int8)
    limit = threshold(8, 0.001)
    assert crossing(sign_path(signs), limit) is None
    found = crossing(sign_path(signs, (0, 1000, 2000)), limit)
    assert found is not None
    assert 2000 < found < 2022


def test_the_blocks_it_takes_are_those_that_the_formula_gives() -> None:
    limit = threshold(8, 0.001)
    assert limit == pytest.approx(math.log(8000))
    needed = wins_needed(limit)
    assert needed == 16  # ln 8000 + ln 5 over ln 1.94, rounded up
    assert sign_path(np.ones(needed - 1, np.int8))[-1] < limit <= sign_path(np.ones(needed, np.int8))[-1]
    assert wins_needed(limit, 4) > needed


def test_disagreement_as_often_as_tolerated_gains_nothing_on_average() -> None:
    trials, tolerated = 40, 0.01
    hits = np.arange(trials + 1)
    values = [np.exp(share_path(np.array([k]), np.array([trials]), tolerated))[-1] for k in hits]
    assert float(np.dot(values, binom.pmf(hits, trials, tolerated))) == pytest.approx(1.0)


def test_pairs_that_differ_trip_within_what_was_measured() -> None:
    """5 % in about 50 pairs, 1 % in about 556 (alpha 0.01 then; here it is stricter)."""
    ones = np.ones(4000, np.int64)
    for share, at_most in ((0.05, 160), (0.01, 1500)):
        rng = np.random.default_rng(1)
        stops = []
        for _ in range(100):
            found = crossing(share_path((rng.random(4000) < share).astype(np.int64), ones, 0.001), threshold(8, 0.001))
            assert found is not None
            stops.append(found)
        assert np.median(stops) < at_most


def test_a_tolerance_above_every_bet_still_has_one() -> None:
    path = share_path(np.array([9]), np.array([10]), 0.49)
    assert np.isfinite(path).all()
    assert path[-1] > 0


def test_crossing_tells_the_first_block_or_none() -> None:
    assert crossing(np.array([0.0, 3.0, 9.0, 1.0]), 3.0) == 1
    assert crossing(np.array([0.0, 1.0]), 3.0) is None
    assert crossing(np.zeros(0), 3.0) is None
