"""About how much a target can serve, from a few bursts of a second or two.

Good enough to choose a base load by (within a fifth), not to be reported as a capacity: that takes the procedure
`capacity`. A burst no longer than the client's patience shows what the target can do even when it refuses nothing,
for nothing has waited in vain by then. Rates rise fourfold until one is not kept up with; if that was far beyond
what was served, one more burst goes little beyond it, because refusing costs something too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from proofload.clock import NS_PER_S
from proofload.records import Outcome, Samples

KEPT_UP = 0.9
FAR = 2.2
"""Times what was served: beyond it the estimate is refined."""
REFINED = 1.5
WIDE = 3.0
"""Times a rate that was kept up with: one that was not, above it, leaves too much between."""
MOST_BURSTS = 8


@dataclass(frozen=True, slots=True)
class Burst:
    """What was asked for and what came of it, per second."""

    rate_rps: float
    goodput_rps: float

    @property
    def kept_up(self) -> bool:
        return self.goodput_rps >= KEPT_UP * self.rate_rps


def burst_of(samples: Samples, rate_rps: float) -> Burst:
    """ok answers over the time from the first due instant to the last of them, what was drained at the end included.

    A rate that was met counts as such: the few requests of a short burst are due at random.
    """
    table = samples.table
    ok = table["outcome"] == Outcome.OK
    count = int(ok.sum())
    if not count:
        return Burst(rate_rps, 0.0)
    took_s = (int(table["done_ns"][ok].max()) - int(table["intended_ns"][0])) / NS_PER_S
    served = count / took_s if took_s > 0 else 0.0
    return Burst(rate_rps, rate_rps if count >= 0.98 * len(table) and served >= 0.8 * rate_rps else served)


def next_rate(tried: Sequence[Burst], *, first_rps: float, max_rps: float) -> float | None:
    """The next burst's rate; None when enough is known."""
    if len(tried) >= MOST_BURSTS:
        return None
    if not tried:
        return min(first_rps, max_rps)
    kept = max((burst.rate_rps for burst in tried if burst.kept_up), default=0.0)
    over = [burst for burst in tried if not burst.kept_up]
    if not over:
        return None if kept >= max_rps else min(4.0 * kept, max_rps)
    lowest = min(burst.rate_rps for burst in over)
    if tried[-1].kept_up and lowest > WIDE * kept:  # what it served of too much said little of what it can serve
        return min(4.0 * kept, math.sqrt(kept * lowest))
    if len(over) > 1 or tried[-1].kept_up:
        return None
    served = max(over[0].goodput_rps, kept)
    if served <= 0.0:
        return over[0].rate_rps / 8.0
    return REFINED * served if over[0].rate_rps > FAR * served else None


def estimate(tried: Sequence[Burst]) -> float | None:
    """Requests per second that were served at best; None when none were."""
    return max((burst.goodput_rps for burst in tried if burst.goodput_rps > 0.0), default=None)


def is_bound(tried: Sequence[Burst]) -> bool:
    """Whether the estimate is only a lower bound: every burst was kept up with."""
    return bool(tried) and all(burst.kept_up for burst in tried)
