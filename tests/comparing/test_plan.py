"""The order of lifetimes: every round holds every option, and the round after it goes backwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proofload.comparing.asked import understood
from proofload.comparing.plan import in_turn, planned


@pytest.mark.parametrize("options", [2, 3, 5])
def test_rounds_mirror_each_other_so_that_drift_treats_all_alike(options: int) -> None:
    turns = list(in_turn(options, 6, seed=4))
    rounds = [[option for number, option in turns if number == place] for place in range(6)]
    assert all(sorted(one) == list(range(options)) for one in rounds)
    assert all(later == earlier[::-1] for earlier, later in zip(rounds[::2], rounds[1::2], strict=True))
    mean = [sum(place for place, (_, option) in enumerate(turns) if option == one) for one in range(options)]
    assert len(set(mean)) == 1, "a machine that slows evenly slows all by as much"


def test_the_seed_fixes_the_order_and_another_gives_another() -> None:
    assert list(in_turn(3, 8, 1)) == list(in_turn(3, 8, 1))
    assert len({tuple(in_turn(2, 12, seed)) for seed in range(30)}) > 5


def test_pairs_come_first_and_what_is_made_once_after_them(targets: Callable[..., list[str]]) -> None:
    found = planned(understood(targets("a", "b"), ["peak-10x", "load"], pairs=4))
    assert [one.pair for one in found] == [0, 0, 1, 1, 2, 2, 3, 3, None, None]
    assert len({one.name for one in found}) == len(found)
    assert {one.name for one in found[-2:]} == {"peak-10x-a-a", "peak-10x-b-b"}
