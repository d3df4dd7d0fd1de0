"""Exact bounds of a share: as scipy's own, at the edges too; one-sided is not two-sided."""

from __future__ import annotations

from typing import Literal

import pytest
from scipy import stats

from proofload.analysis.shares import lower_bound, one_sided_bounds, two_sided_bounds, upper_bound

COUNTS = [(0, 1), (0, 40), (1, 40), (7, 40), (39, 40), (40, 40), (3, 90_000)]


@pytest.mark.parametrize(("count", "n"), COUNTS)
def test_they_are_the_exact_ones(count: int, n: int) -> None:
    sides: tuple[tuple[Literal["less", "greater"], int], ...] = (("less", 1), ("greater", 0))
    for side, place in sides:
        exact = stats.binomtest(count, n, alternative=side).proportion_ci(confidence_level=0.99, method="exact")
        assert one_sided_bounds(count, n, 0.01)[place] == pytest.approx((exact.low, exact.high)[place], abs=1e-12)
    both = stats.binomtest(count, n).proportion_ci(confidence_level=0.99, method="exact")
    assert two_sided_bounds(count, n, 0.99) == pytest.approx((both.low, both.high), abs=1e-12)


def test_where_nothing_was_seen_anything_may_be() -> None:
    assert one_sided_bounds(0, 0, 0.01) == two_sided_bounds(0, 0, 0.99) == (0.0, 1.0)


def test_counts_may_be_fractional() -> None:
    assert lower_bound(1, 40, 0.01) < lower_bound(1.5, 40, 0.01) < lower_bound(2, 40, 0.01)
    assert upper_bound(1, 40, 0.01) < upper_bound(1.5, 40, 0.01) < upper_bound(2, 40, 0.01)
