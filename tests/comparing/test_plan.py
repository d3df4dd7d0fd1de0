"""The order of lifetimes: every round holds every option, and the round after it goes backwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from proofload.comparing.asked import understood
from proofload.comparing.plan import in_turn, planned
from proofload.errors import InputError


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


def test_more_options_than_letters_have_folders_of_their_own(targets: Callable[..., list[str]]) -> None:
    found = planned(understood(targets("a") * 30, pairs=3))
    assert len({one.name for one in found}) == len(found) == 90


def test_two_lifetimes_that_would_share_a_folder_are_refused(targets: Callable[..., list[str]], tmp_path: Path) -> None:
    (tmp_path / "load-01.scenario.toml").write_text('procedure = "capacity"\n')
    asked = understood(targets("a", "b"), ["load", "load-01.scenario.toml"], pairs=3)
    with pytest.raises(InputError, match="would have the run folder load-01-"):
        planned(asked)


def test_the_lifetimes_of_a_pair_meet_the_same_arrivals_and_other_pairs_others(
    targets: Callable[..., list[str]],
) -> None:
    found = planned(understood(targets("a", "b"), pairs=3))
    assert len({(one.pair, one.scenario.seed) for one in found}) == len({one.scenario.seed for one in found}) == 3
