"""Which lifetimes are made, and in which order: fixed by the seed before the first."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from proofload.comparing.asked import Asked
from proofload.errors import InputError
from proofload.scenarios import Scenario
from proofload.target_model import Target


@dataclass(frozen=True, slots=True)
class Lifetime:
    """One run to make: an option in a situation, by their places; `pair` counts from 0, and is None for what is made
    once."""

    situation: int
    option: int
    pair: int | None
    name: str
    """Of its run folder."""
    scenario: Scenario
    """As it is run: the lifetimes of a pair meet the same arrivals; other pairs meet others."""
    target: Target


def planned(asked: Asked) -> list[Lifetime]:
    """Pairs first, situation by situation; then what is made once. Raises InputError where two would have the same
    run folder."""
    found: list[Lifetime] = []
    for paired in (True, False):
        for place, situation in enumerate(asked.situations):
            if situation.paired is not paired:
                continue
            pairs = asked.settings.pairs if paired else 1
            for pair, option in in_turn(len(asked.labels), pairs, situation.scenario.seed + place):
                scenario, target = situation.scenario, situation.targets[option]
                number = f"-{pair + 1:02}" if paired else ""
                name = f"{scenario.name}{number}-{_letters(option)}-{target.name}"
                own = scenario.model_copy(update={"seed": scenario.seed + pair})
                found.append(Lifetime(place, option, pair if paired else None, name, own, target))
    _refuse_shared_folders(found)
    return found


def _letters(option: int) -> str:
    """a to z, then aa, ab and so on."""
    return ("" if option < 26 else _letters(option // 26 - 1)) + chr(ord("a") + option % 26)


def _refuse_shared_folders(found: Sequence[Lifetime]) -> None:
    name, times = Counter(one.name for one in found).most_common(1)[0]
    if times > 1:
        raise InputError(
            f"two lifetimes would have the run folder {name}",
            cause="a scenario's name is another's with a number after it, which is how pairs are numbered",
            remedy='write another name at the top of one of their files: name = "…"',
        )


def in_turn(options: int, rounds: int, seed: int) -> Iterator[tuple[int, int]]:
    """(round, option): a round holds every option once, in an order drawn for it; the round after it goes backwards, so
    that a machine that drifts treats all alike (ABBA)."""
    rng = random.Random(seed)  # noqa: S311  an order, not a secret
    order = list(range(options))
    for number in range(rounds):
        if number % 2:
            order.reverse()
        else:
            rng.shuffle(order)
        yield from ((number, option) for option in order)
