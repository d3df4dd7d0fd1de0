"""The first moments of a fresh instance against its own warm self.

The opening of a life is a window of fixed length from its first request on. The same windows are laid over a
stretch in which the instance is warm; whatever disturbs both alike (a noisy host, a slow model) is then no
finding. One window is one observation: the requests within it share its stalls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from proofload.analysis.shares import upper_bound

QUARTILE = 0.75
MEDIAN_FACTOR = 1.5
MEDIAN_SHARE = 0.2
"""A median counts as slow at 1.5 × the warm one and this part of the permitted penalty."""
CHANCE_FAILURE = 0.01
LEAST_BACKGROUND = 0.001
DENSE = 0.25
"""A beginning is cold as far as more than this share of its requests was slow."""


@dataclass(frozen=True, slots=True)
class Requests:
    """One stretch of requests in order of due time, as columns of one length."""

    due_ns: NDArray[np.int64]
    done_ns: NDArray[np.int64]
    latency_ms: NDArray[np.float64]
    """NaN where there was no answer to time (refused, failed)."""
    bad: NDArray[np.bool_]
    """Refused, failed, wrong or timed out."""

    def between(self, start_ns: int, end_ns: int) -> Requests:
        low, high = np.searchsorted(self.due_ns, (start_ns, end_ns))
        return Requests(self.due_ns[low:high], self.done_ns[low:high], self.latency_ms[low:high], self.bad[low:high])

    def __len__(self) -> int:
        return len(self.due_ns)


@dataclass(frozen=True, slots=True)
class Window:
    """What one window shows."""

    n: int
    bad: int
    worst_ms: float
    """Slowest answer; 0 where nothing was answered."""
    median_ms: float


@dataclass(frozen=True, slots=True)
class WarmLevel:
    """What windows of a warm instance look like: the upper quartile of each figure over the windows."""

    worst_ms: float
    median_ms: float
    bad_share: float
    """Upper 95 % bound."""
    windows: tuple[Window, ...]


def window_of(requests: Requests) -> Window:
    timed = requests.latency_ms[np.isfinite(requests.latency_ms)]
    worst, median = (float(timed.max()), float(np.median(timed))) if len(timed) else (0.0, 0.0)
    return Window(len(requests), int(np.count_nonzero(requests.bad)), worst, median)


def opening(requests: Requests, length_ns: int) -> Window:
    """The window that begins with the first request."""
    start = int(requests.due_ns[0]) if len(requests) else 0
    return window_of(requests.between(start, start + length_ns))


def windows(requests: Requests, length_ns: int) -> tuple[Window, ...]:
    """Whole windows back to back; those in which nothing was due are left out."""
    if not len(requests):
        return ()
    start, end = int(requests.due_ns[0]), int(requests.due_ns[-1])
    cut = (requests.between(at, at + length_ns) for at in range(start, end - length_ns + 1, length_ns))
    return tuple(window_of(one) for one in cut if len(one))


def warm_level(seen: Sequence[Window]) -> WarmLevel | None:
    """None where there is no window with an answer."""
    answered = [window for window in seen if window.worst_ms > 0.0]
    if not answered:
        return None
    bad, n = sum(window.bad for window in seen), sum(window.n for window in seen)
    upper = upper_bound(bad, n, 0.05)
    return WarmLevel(
        worst_ms=float(np.quantile([window.worst_ms for window in answered], QUARTILE)),
        median_ms=float(np.quantile([window.median_ms for window in answered], QUARTILE)),
        bad_share=max(LEAST_BACKGROUND, upper),
        windows=tuple(seen),
    )


def is_slow(window: Window, warm: WarmLevel, penalty_ms: float) -> bool:
    """Its slowest answer is beyond the warm one by the permitted penalty, or its median by a part of it."""
    late = window.worst_ms > warm.worst_ms + penalty_ms
    all_slower = window.median_ms > max(MEDIAN_FACTOR * warm.median_ms, warm.median_ms + MEDIAN_SHARE * penalty_ms)
    return late or all_slower


def is_failing(window: Window, warm: WarmLevel) -> bool:
    """More of its requests came to nothing than the warm instance's own failures explain (1 in 100 by chance)."""
    return window.bad >= 1 and float(special.bdtrc(window.bad - 1, window.n, warm.bad_share)) <= CHANCE_FAILURE


def cold_prefix(requests: Requests, slow_ms: float) -> int:
    """How many requests at the beginning belong to the cold stretch: up to where slow or bad ones are dense.

    The maximum of a cumulative sum, as in Page's test: each slow request adds 1 − 0.25, each other takes 0.25.
    """
    with np.errstate(invalid="ignore"):
        cold = requests.bad | (requests.latency_ms > slow_ms)
    if not cold.any():
        return 0
    walk = np.cumsum(cold - DENSE)
    top = int(np.argmax(walk))
    return top + 1 if walk[top] > 0.0 else 0


def is_one_stall(requests: Requests, slow_ms: float) -> bool:
    """Whether the slow requests waited for one thing: once the first of them is answered, the others soon are.

    The opposite is a row of answers that each took long.
    """
    with np.errstate(invalid="ignore"):
        slow = requests.latency_ms > slow_ms
    if not slow.any():
        return False
    done, due = requests.done_ns[slow], requests.due_ns[slow]
    first = int(np.argmin(done))
    waited_ns = int(done[first] - due.min())
    return int(done.max() - done[first]) <= 0.5 * waited_ns
