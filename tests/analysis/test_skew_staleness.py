"""Old values are told from coincidence: small whole numbers, which come again everywhere, included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload.analysis.feature_values import Values
from proofload.analysis.parity import compare
from proofload.analysis.skew_rows import Joined, Misplaced, misplaced
from proofload.analysis.skew_staleness import Stale

ROWS, CUSTOMERS, SEEDS = 1_500, 120, 5
Numbers = NDArray[np.float64]
Make = Callable[[np.random.Generator, NDArray[np.int64]], tuple[Numbers, Numbers]]


def found_in(wanted: Numbers, got: Numbers, whose: NDArray[np.int64] | None, seed: int = 0) -> Misplaced:
    reference, serving = {"orders": Values.of_numbers(wanted)}, {"orders": Values.of_numbers(got)}
    bad = {"orders": compare(reference["orders"], serving["orders"], 1e-5).any}
    return misplaced(Joined(reference, serving, np.arange(len(wanted)), bad, whose), seed=seed)


def before(values: Numbers, whose: NDArray[np.int64], lag: int = 1) -> Numbers:
    """Each row's value of `lag` events before, of the same customer; its own where there is none."""
    held: dict[int, list[float]] = {}
    old = values.copy()
    for row, (value, who) in enumerate(zip(values.tolist(), whose.tolist(), strict=True)):
        past = held.setdefault(who, [])
        if len(past) >= lag:
            old[row] = past[-lag]
        past.append(value)
    return old


def any_count(rng: np.random.Generator, whose: NDArray[np.int64]) -> Numbers:
    return rng.integers(0, 12, len(whose)).astype(float)


def up_and_down(rng: np.random.Generator, whose: NDArray[np.int64]) -> Numbers:
    """A count of 30 days: one more at most events, fewer where old ones expire."""
    now: dict[int, float] = {}
    counts = np.zeros(len(whose))
    for row, who in enumerate(whose.tolist()):
        now[who] = max(1.0, now.get(who, 4.0) + 1 - rng.poisson(1.0))
        counts[row] = now[who]
    return counts


def cumulative(whose: NDArray[np.int64]) -> Numbers:
    seen: dict[int, int] = {}
    counts = np.zeros(len(whose))
    for row, who in enumerate(whose.tolist()):
        seen[who] = seen.get(who, 0) + 1
        counts[row] = seen[who]
    return counts


def about_a_level(rng: np.random.Generator, whose: NDArray[np.int64]) -> Numbers:
    return np.asarray(np.round(20 * rng.random(CUSTOMERS))[whose] + rng.integers(-1, 2, len(whose)), dtype=np.float64)


def half_of_them(values: Numbers, whose: NDArray[np.int64], lag: int = 1) -> Numbers:
    return np.where(whose % 2 == 0, before(values, whose, lag), values)


def both(values: Numbers, change: Callable[[Numbers], Numbers]) -> tuple[Numbers, Numbers]:
    return values, change(values)


STALE: dict[str, tuple[int, Make]] = {
    "a count of 0 to 11, one event old": (1, lambda rng, who: both(any_count(rng, who), lambda v: before(v, who))),
    "two events old": (2, lambda rng, who: both(any_count(rng, who), lambda v: before(v, who, 2))),
    "three events old": (3, lambda rng, who: both(any_count(rng, who), lambda v: before(v, who, 3))),
    "for half of the customers": (1, lambda rng, who: both(any_count(rng, who), lambda v: half_of_them(v, who))),
    "a count of 30 days": (1, lambda rng, who: both(up_and_down(rng, who), lambda v: before(v, who))),
    "a count of 30 days for half": (1, lambda rng, who: both(up_and_down(rng, who), lambda v: half_of_them(v, who))),
}
NOT_STALE: dict[str, Make] = {
    "another count altogether": lambda rng, who: (any_count(rng, who), any_count(rng, who)),
    "one or two fewer, at random": lambda rng, who: both(any_count(rng, who), lambda v: v - rng.integers(0, 3, ROWS)),
    "a level, miscounted by one": lambda rng, who: both(
        about_a_level(rng, who), lambda v: v + rng.choice([-1.0, 0.0, 1.0], ROWS)
    ),
    "a level, read at another time": lambda rng, who: both(
        about_a_level(rng, who), lambda v: np.array([rng.choice(v[who == one]) for one in who.tolist()])
    ),
    "a count of 30 days, miscounted": lambda rng, who: both(
        up_and_down(rng, who), lambda v: v + rng.choice([-1.0, 0.0, 1.0], ROWS)
    ),
    "a running count without the event itself": lambda rng, who: both(
        cumulative(who), lambda v: v - (rng.random(ROWS) < 0.9)
    ),
    "zero where a look-up fails": lambda rng, who: both(
        np.where(rng.random(ROWS) < 0.2, 1.0, 0.0), lambda v: np.where(rng.random(ROWS) < 0.5, 0.0, v)
    ),
    "flags turned over": lambda rng, who: both(
        (rng.random(ROWS) < 0.3).astype(float), lambda v: np.where(rng.random(ROWS) < 0.1, 1 - v, v)
    ),
    "a flag that never comes twice, lost": lambda rng, who: both(
        (cumulative(who) % 4 == 0).astype(float), lambda v: np.where(rng.random(ROWS) < 0.5, 0.0, v)
    ),
}  # fmt: skip


def customers(rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.integers(0, CUSTOMERS, ROWS)


@pytest.mark.parametrize("name", STALE)
def test_a_count_that_is_events_old_is_recognised_with_its_lag(name: str) -> None:
    lag, make = STALE[name]
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        who = customers(rng)
        stale = found_in(*make(rng, who), who, seed).stale
        assert (stale.convincing, stale.lag) == (True, lag), (seed, stale)


@pytest.mark.parametrize("name", NOT_STALE)
def test_a_count_that_is_wrong_otherwise_is_not_called_old(name: str) -> None:
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        who = customers(rng)
        for whose in (who, None):
            found = found_in(*NOT_STALE[name](rng, who), whose, seed)
            assert not found.stale.convincing, (seed, found.stale)
            assert not found.stale_features


def test_without_customers_a_count_of_theirs_is_not_recognised() -> None:
    rng = np.random.default_rng(1)
    who = customers(rng)
    counts = any_count(rng, who)
    assert not found_in(counts, before(counts, who), None).stale.convincing


def test_a_value_kept_for_long_is_another_event_s_at_no_one_distance() -> None:
    rng = np.random.default_rng(2)
    who = customers(rng)
    means = rng.lognormal(3, 1, ROWS)
    first = means[np.array([np.flatnonzero(who == one)[0] for one in who.tolist()])]
    stale = found_in(means, first, who).stale
    assert (stale.convincing, stale.lag) == (True, 0)
    counts = any_count(rng, who)
    first = counts[np.array([np.flatnonzero(who == one)[0] for one in who.tolist()])]
    assert not found_in(counts, first, who).stale.convincing, "nearly any count is some row's"


@pytest.mark.parametrize(
    ("told", "sure"),
    [
        (Stale(200, 1.0, 0.5, 1), True),
        (Stale(200, 0.79, 0.0, 1), False),  # it leaves too many unexplained
        (Stale(200, 0.85, 0.5, 1), False),  # of those that coincidence leaves, too many
        (Stale(2, 1.0, 0.0, 1), False),  # so few may be anything
        (Stale(0, 0.0, 0.0, 0), False),
    ],
)
def test_it_convinces_where_it_holds_for_nearly_all_rows_and_coincidence_does_not(told: Stale, *, sure: bool) -> None:
    assert told.convincing is sure


def test_rows_of_nobody_have_no_earlier_ones() -> None:
    values: Any = np.arange(100.0) ** 2
    found = found_in(values, np.roll(values, 1), np.full(100, -1, np.int64))
    assert (found.stale.share, found.stale_features) == (0.0, {})
