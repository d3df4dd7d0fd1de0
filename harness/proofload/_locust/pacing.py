"""What a workload means for users who wait for their answers: how many of them, and when each is due. Pure.

At the workload's full rate all users are there, each due every users ÷ rate seconds on average: evenly, or at random
(exponentially) where the arrival process is. At a lower rate there are fewer of them, each as busy as before; that is
how Locust shapes a load. Due times never wait for answers: what a user is too busy to send in time is late.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.clock import NS_PER_S
from proofload.discovery import module_for
from proofload.engine.schedule import PhasePlan
from proofload.workloads.arrivals import ArrivalSpec

_LEVEL = ("constant", "poisson")


@dataclass(slots=True)
class Swarm:
    """Phases back to back, as users see them."""

    spans: Sequence[tuple[int, int, PhasePlan]]
    """(begin, end, plan)"""
    curves: Sequence[NDArray[np.float64]]
    """Requests due in each second of a phase."""
    most_users: int
    end_ns: int
    """Nothing falls due from here on; a cut brings it forward."""

    @staticmethod
    def of(phases: Sequence[Mapping[str, Any]], start_ns: int, *, users: int) -> Swarm:
        plans = [PhasePlan(**phase) for phase in phases]
        spans = []
        for plan in plans:
            end_ns = start_ns + round(plan.duration_s * NS_PER_S)
            spans.append((start_ns, end_ns, plan))
            start_ns = end_ns
        return Swarm(spans, [_curve(plan) for plan in plans], users, start_ns)

    @property
    def phases(self) -> list[int]:
        return [plan.index for _, _, plan in self.spans]

    @property
    def full_rps(self) -> float:
        return max(float(curve.max(initial=0.0)) for curve in self.curves) or 1.0

    def users_at(self, now_ns: int) -> int:
        """At least one, so that there is somebody to go on."""
        for (begin_ns, end_ns, _), curve in zip(self.spans, self.curves, strict=True):
            if now_ns < end_ns:
                second = min(max(0, now_ns - begin_ns) // NS_PER_S, len(curve) - 1)
                return max(1, round(self.most_users * float(curve[second]) / self.full_rps))
        return 1

    def phase_at(self, due_ns: int) -> int:
        """The index of the phase that a request belongs to, by when it is due."""
        return next((plan.index for _, end_ns, plan in self.spans if due_ns < end_ns), self.spans[-1][2].index)

    def due_times(self, user: int, now_ns: int) -> Iterator[int]:
        """When this user's requests are due, without end. One who comes late begins now."""
        first = self.spans[0][2]
        rng = np.random.default_rng([first.seed, user])
        gap_ns = self.most_users / self.full_rps * NS_PER_S
        at_random = first.arrival == "poisson" or first.shape.get("spacing") == "poisson"
        due_ns = float(max(self.spans[0][0], now_ns))
        due_ns += rng.exponential(gap_ns) if at_random else rng.uniform(0.0, gap_ns)
        while True:
            yield int(due_ns)
            due_ns += rng.exponential(gap_ns) if at_random else gap_ns


def _curve(plan: PhasePlan) -> NDArray[np.float64]:
    seconds = max(1, int(np.ceil(plan.duration_s)))
    if plan.arrival in _LEVEL:
        return np.full(seconds, plan.rate_rps)
    curve = np.zeros(seconds)
    spec = ArrivalSpec(plan.arrival, plan.rate_rps, plan.duration_s, plan.seed, plan.shape)
    for due_ns in module_for("arrival", plan.arrival).create(spec):
        curve += np.bincount(np.minimum(due_ns // NS_PER_S, seconds - 1), minlength=seconds)
    return curve
