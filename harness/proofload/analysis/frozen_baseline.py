"""The baseline when it had all the traffic, frozen before the canary got any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.guard_rules import (
    SLOWER,
    TAIL_FACTOR,
    TIMED,
    TOLERANCE,
    TOLERANCE_NS,
    Rules,
    flags,
    own_requests,
)
from proofload.analysis.matching import Flags
from proofload.clock import NS_PER_S
from proofload.records import Samples


@dataclass(frozen=True, slots=True)
class Reference:
    """What the canary is compared with besides the baseline that runs beside it."""

    slower_ns: Mapping[str, int]
    """From which latency an answer counts as slower, by guard."""
    usual: Mapping[str, NDArray[np.bool_]]
    """By guard: users whose answers were bad then already. What befalls them says nothing about the canary."""
    proven: Mapping[str, NDArray[np.bool_]]
    """By guard: payloads that were answered well."""
    blocks: Sequence[Mapping[str, Flags]]
    """By guard of latency: which answers of a block were slower, blocks that served for nothing else."""
    answers: int


def freeze(samples: Samples, rules: Rules, users: NDArray[np.int64]) -> Reference:
    """The reference, from the baseline's stretch with all the traffic: its first half sets the thresholds and shows
    whose answers are bad anyway, its second half is what a block of full load looks like."""
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
        slower[guard] = round(at * (TAIL_FACTOR if guard == "slower-tail" else TOLERANCE) + TOLERANCE_NS)
    early, late = own[own["intended_ns"] < middle], own[own["intended_ns"] >= middle]
    usual, proven = {}, {}
    for guard in rules.sign_guards:
        counted, bad = flags(early if guard in SLOWER else own, guard, slower, rules.versions)
        source = early if guard in SLOWER else own
        known = np.zeros(int(users.max(initial=-1)) + 1, np.bool_)
        if len(users):
            who = users[source["payload"][counted & bad]]
            known[who[who >= 0]] = True
        usual[guard] = known
        proven[guard] = np.zeros(len(users), np.bool_)
        if len(users):
            proven[guard][source["payload"][counted & ~bad]] = True
    return Reference(slower, usual, proven, _blocks(late, slower, rules, usual, users), len(own))


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
