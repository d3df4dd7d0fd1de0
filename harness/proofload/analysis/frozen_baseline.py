"""The baseline when it had all the traffic, frozen before the canary got any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from proofload.analysis.guard_rules import (
    SLOWER,
    TIMED,
    Rules,
    flags,
    own_requests,
)
from proofload.analysis.matching import Flags
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import Samples

FEWEST, NEARLY_ALWAYS, BY_CHANCE = 2, 0.8, 0.01
"""A user is left out after so many answers, of which such a share was bad, where chance hardly explains it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What the canary is compared with besides the baseline that runs beside it."""

    slower_ns: Mapping[str, int]
    """From which latency an answer counts as slower, by guard."""
    usual: Mapping[str, NDArray[np.bool_]]
    """By guard: users whose answers were nearly all bad then already. What befalls them tells nothing of the canary."""
    proven: Mapping[str, NDArray[np.bool_]]
    """By guard: payloads that were answered well."""
    blocks: Sequence[Mapping[str, Flags]]
    """By guard of latency: which answers of a block were slower, blocks that served for nothing else."""
    answers: int


def freeze(samples: Samples, rules: Rules, users: NDArray[np.int64]) -> Reference:
    """The reference, from the baseline's stretch with all the traffic: its first half sets the thresholds, its
    second half is what a block of full load looks like; all of it shows whose answers are bad anyway."""
    own = own_requests(samples.table, rules.forced)
    own = own[own["arm"] == 0]
    timed = own[np.isin(own["outcome"], TIMED)]
    if not len(timed):
        return Reference({}, {}, {}, (), 0)
    middle = int(own["intended_ns"][len(own) // 2])
    first = timed[timed["intended_ns"] < middle]
    latency = first["done_ns"] - first["intended_ns"]
    slower = {}
    for guard, q in SLOWER.items():
        at = float(np.quantile(latency, q)) if len(latency) else 0.0
        times = rules.tail_factor if guard == "slower-tail" else 1 + rules.slower
        slower[guard] = round(at * times + rules.slower_ms * NS_PER_MS)
    late = own[own["intended_ns"] >= middle]
    usual, proven = {}, {}
    for guard in rules.sign_guards:
        counted, bad = flags(own, guard, slower, rules.versions)
        proven[guard] = np.zeros(len(users), np.bool_)
        usual[guard] = np.zeros(int(users.max(initial=-1)) + 1, np.bool_)
        if len(users):
            usual[guard] = usually_bad(users[own["payload"][counted]], bad[counted], len(usual[guard]))
            proven[guard][own["payload"][counted & ~bad]] = True
    return Reference(slower, usual, proven, _blocks(late, slower, rules, usual, users), len(own))


def usually_bad(user: NDArray[np.int64], bad: Flags, size: int) -> Flags:
    """Which of `size` users are answered badly whatever happens: nearly always, and so often that chance would do that
    to one in a hundred at most if all users were alike. One bad answer proves nothing."""
    known = user >= 0
    every = np.bincount(user[known], minlength=size)
    hit = np.bincount(user[known], weights=bad[known], minlength=size)
    if not every.sum():
        return np.zeros(size, np.bool_)
    often = (every >= FEWEST) & (hit >= NEARLY_ALWAYS * every)
    by_chance = binom.sf(hit - 1, every, hit.sum() / every.sum())
    found: Flags = often & (by_chance <= BY_CHANCE)
    return found


def _blocks(
    late: NDArray[np.void],
    slower: Mapping[str, int],
    rules: Rules,
    usual: Mapping[str, NDArray[np.bool_]],
    users: NDArray[np.int64],
) -> tuple[Mapping[str, Flags], ...]:
    if not len(late):
        return ()
    start = int(late["intended_ns"][0])
    number = (late["intended_ns"] - start) // round(rules.block_s * NS_PER_S)
    found = []
    for block in range(max(1, int(number[-1]))):  # the last one is not whole, unless it is the only one
        rows = late[number == block]
        user = users[rows["payload"]] if len(users) else np.full(len(rows), -1)
        of_block = {}
        for guard in SLOWER:
            counted, bad = flags(rows, guard, slower, rules.versions)
            if len(usual[guard]):
                counted &= ~((user >= 0) & usual[guard][user])
            of_block[guard] = bad[counted]
        found.append(of_block)
    return tuple(found)
