"""What a switch of all traffic cost: how long until nothing went the old way, and which requests were lost to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.clock import NS_PER_S
from proofload.records import Outcome, Samples

_GATEWAY = (502, 503, 504)
"""Statuses by which a router says that it reached nobody."""

_USUAL = 0.001
_AROUND_NS = NS_PER_S // 4
"""Requests sent so long before or after a switch count as exposed to it."""


@dataclass(frozen=True, slots=True)
class Switch:
    """All traffic to `arm`: when it was asked for, and when the driver said that it was done."""

    arm: int
    asked_ns: int
    done_ns: int


@dataclass(frozen=True, slots=True)
class Cost:
    """`settled_s`: from asking until the driver was done and no request went the old way any more."""

    settled_s: float
    in_flight: int
    """Requests that were under way while it happened."""
    lost: int


def cost_of(switch: Switch, samples: Samples, *, until_ns: int) -> Cost:
    """Of a switch that held until an instant. Samples may be those of the whole run."""
    table = samples.table
    due = table["intended_ns"]
    straying = (table["arm"] != switch.arm) & (due >= switch.asked_ns) & (due < until_ns)
    last = int(due[straying].max()) if straying.any() else 0
    under_way = _under_way(table, switch.asked_ns, switch.done_ns)
    return Cost(
        settled_s=(max(switch.done_ns, last) - switch.asked_ns) / 1e9,
        in_flight=int(np.count_nonzero(under_way)),
        lost=int(np.count_nonzero(under_way & unanswered(samples))),
    )


@dataclass(frozen=True, slots=True)
class Around:
    """Requests exposed to switches, how many of them nobody answered, and what share of the others."""

    exposed: int
    lost: int
    usual: float


def lost_around(switches: Sequence[Switch], samples: Samples, ended: Sequence[tuple[int, int, int]]) -> Around:
    """What switches lost, beside what is lost anyhow. Requests under way on an arm that ended meanwhile,
    (arm, told_ns, ended_ns), are left out: see `lost_to_the_end`."""
    table = samples.table
    dispatched = table["dispatched_ns"]
    apart = (dispatched <= 0) | (table["mirror"] != 0)
    for arm, told_ns, ended_ns in ended:
        apart |= (table["arm"] == arm) & _under_way(table, told_ns, ended_ns)
    near = np.zeros(len(table), np.bool_)
    for one in switches:
        near |= (dispatched >= one.asked_ns - _AROUND_NS) & (dispatched <= one.done_ns + _AROUND_NS)
        near |= _under_way(table, one.asked_ns, one.done_ns)
    silent = unanswered(samples)
    exposed, others = near & ~apart, ~near & ~apart
    return Around(
        exposed=int(np.count_nonzero(exposed)),
        lost=int(np.count_nonzero(exposed & silent)),
        usual=float(silent[others].mean()) if others.any() else 0.0,
    )


def lost_to_the_end(samples: Samples, arm: int, told_ns: int, ended_ns: int) -> tuple[int, int]:
    """(requests lost, requests under way) on an arm that was told to end, between then and its end."""
    on_it = (samples.table["arm"] == arm) & _under_way(samples.table, told_ns, ended_ns)
    return int(np.count_nonzero(on_it & unanswered(samples))), int(np.count_nonzero(on_it))


def unanswered(samples: Samples) -> NDArray[np.bool_]:
    """Requests that nobody answered: an error without a status, a timeout, or a router that reached nobody.

    A version's own error (500, say) is an answer: what is wrong with it is not the switch. Nor are timeouts counted
    where they are usual: one in a thousand of all `samples`.
    """
    table = samples.table
    patient = np.count_nonzero(table["outcome"] == Outcome.TIMEOUT) > _USUAL * len(table)
    kinds = (Outcome.ERROR, Outcome.SHED) if patient else (Outcome.ERROR, Outcome.SHED, Outcome.TIMEOUT)
    failed = np.isin(table["outcome"], kinds)
    nobody: NDArray[np.bool_] = failed & ((table["status"] < 0) | np.isin(table["status"], _GATEWAY))
    return nobody


def _under_way(table: NDArray[np.void], from_ns: int, until_ns: int) -> NDArray[np.bool_]:
    """Dispatched before the end of the time, not done before its beginning."""
    went = (table["dispatched_ns"] > 0) & (table["mirror"] == 0)
    over: NDArray[np.bool_] = went & (table["dispatched_ns"] <= until_ns) & (table["done_ns"] >= from_ns)
    return over
