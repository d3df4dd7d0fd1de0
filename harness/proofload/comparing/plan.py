"""Which lifetimes are made, and in which order: fixed by the seed before the first."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from proofload.comparing.asked import Asked


@dataclass(frozen=True, slots=True)
class Lifetime:
    """One run to make: an option in a situation, by their places; `pair` counts from 0, and is None for what is made
    once."""

    situation: int
    option: int
    pair: int | None
    name: str
    """Of its run folder."""


def planned(asked: Asked) -> list[Lifetime]:
    """Pairs first, situation by situation; then what is made once."""
    found: list[Lifetime] = []
    for paired in (True, False):
        for place, situation in enumerate(asked.situations):
            if situation.paired is not paired:
                continue
            pairs = asked.settings.pairs if paired else 1
            for pair, option in in_turn(len(asked.labels), pairs, situation.scenario.seed + place):
                number = f"-{pair + 1:02}" if paired else ""
                which = f"{chr(ord('a') + option % 26)}-{situation.targets[option].name}"
                name = f"{situation.scenario.name}{number}-{which}"
                found.append(Lifetime(place, option, pair if paired else None, name))
    return found


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
