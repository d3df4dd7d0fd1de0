"""When a target was itself again after an overload.

Recovered is the first instant from which on, for `settled_s` on end, at least 98 % of the requests due went well
and at most 5 % of the answers were slower than 1.5 times the p99 of the same load before the overload. (A band of
±10 % around the goodput would call more than a fifth of healthy runs unrecovered.) A server that stalls now and then
may miss that for a while, as it did before. So what is *not* recovered is judged by a laxer rule: no such stretch
with at least 90 % ok and at most a quarter of the answers slow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.clock import NS_PER_MS, NS_PER_S

OK_SHARE = 0.98
SLOW_SHARE = 0.05
NEARLY_OK_SHARE = 0.9
NEARLY_SLOW_SHARE = 0.25
SLOWER = 1.5
FREE_MS = 1.0
"""On top, so that a server that answers in microseconds is not judged by the scheduler's."""
FEWEST = 8
"""Requests that a stretch of `settled_s` must hold to show anything."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The same load before the overload: the latency of its ok answers at p99, and its share of ok."""

    p99_ms: float
    ok_share: float
    n: int

    @property
    def limit_ms(self) -> float:
        """An answer above it is slow."""
        return SLOWER * self.p99_ms + FREE_MS

    @property
    def healthy(self) -> bool:
        return self.ok_share >= OK_SHARE


@dataclass(frozen=True, slots=True)
class Recovery:
    """`after_s`: seconds from the return to base load to recovery; None: not seen within `watched_s`."""

    after_s: float | None
    nearly_s: float | None
    """The same by the laxer rule: it has not recovered before."""
    watched_s: float
    """How long after the return a stretch of `settled_s` could still have begun."""
    told: bool
    """Whether there were requests enough to tell."""


def baseline_of(latency_ns: NDArray[np.int64], ok: NDArray[np.bool_]) -> Baseline | None:
    """From the requests of the healthy load; None where none of them went well."""
    good = latency_ns[ok]
    if not len(good):
        return None
    rank = max(1, -(-len(good) * 99 // 100))
    return Baseline(float(np.sort(good)[rank - 1]) / NS_PER_MS, float(np.mean(ok)), len(ok))


def recovery(
    due_ns: NDArray[np.int64],
    latency_ns: NDArray[np.int64],
    ok: NDArray[np.bool_],
    baseline: Baseline,
    *,
    begin_ns: int,
    end_ns: int,
    settled_s: float,
) -> Recovery:
    """Look for the first stretch of `settled_s` that went well, among requests in order of due time."""
    settled_ns = round(settled_s * NS_PER_S)
    watched_s = max(0.0, (end_ns - begin_ns - settled_ns) / NS_PER_S)
    slow = ok & (latency_ns > baseline.limit_ms * NS_PER_MS)
    starts = np.concatenate(([begin_ns], due_ns[:-1] + 1)) if len(due_ns) else np.zeros(0, dtype=np.int64)
    starts = starts[starts <= end_ns - settled_ns]
    first = np.searchsorted(due_ns, starts)
    last = np.searchsorted(due_ns, starts + settled_ns)
    count = last - first
    good, bad = _running(ok), _running(slow)
    answered = good[last] - good[first]
    enough = count >= FEWEST
    slowed = bad[last] - bad[first]

    def since(ok_share: float, slow_share: float) -> float | None:
        at = np.flatnonzero(enough & (answered >= ok_share * count) & (slowed <= slow_share * answered))
        return (int(starts[at[0]]) - begin_ns) / NS_PER_S if len(at) else None

    return Recovery(
        after_s=since(OK_SHARE, SLOW_SHARE),
        nearly_s=since(NEARLY_OK_SHARE, NEARLY_SLOW_SHARE),
        watched_s=watched_s,
        told=bool(enough.any()),
    )


def _running(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(mask, dtype=np.int64)))
