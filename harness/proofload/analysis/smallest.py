"""The smallest growth that a run would have found, by trying: its own scatter, with growth put in, judged again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from proofload.analysis.trend import Column, slope

HISTORIES = 40
OFTEN = 0.95
_TRIES = 9
_PIECES = 6
_ALPHA = 0.1


def smallest_found(
    t: Column,
    settled_y: Column,
    settled_t: Column,
    found: Callable[[Column, Column], bool],
    *,
    start: float,
    seed: int = 1,
) -> float | None:
    """Growth (units per second) that `found` says yes to in 19 of 20 histories; None when not even 512 × `start`.

    The scatter is that of the settled part about its own trend, in stretches put together at random, so that its
    correlation stays. `start`: a growth to begin with.
    """
    trend = slope(settled_t[:: max(1, len(settled_t) // 60)], settled_y[:: max(1, len(settled_t) // 60)],
                  alpha_low=_ALPHA, alpha_high=_ALPHA)  # fmt: skip
    scatter = settled_y - trend.value * settled_t
    scatter = scatter - np.median(scatter)
    rng = np.random.default_rng(seed)
    noises = [_again(scatter, len(t), rng) for _ in range(HISTORIES)]

    def often(rate: float) -> bool:
        return sum(found(t, noise + rate * t) for noise in noises) >= OFTEN * HISTORIES

    high = start
    for _ in range(_TRIES):
        if often(high):
            break
        high *= 2
    else:
        return None
    low = high / 2 if high > start else 0.0
    for _ in range(5):
        middle = (low + high) / 2
        low, high = (low, middle) if often(middle) else (middle, high)
    return high


def _again(scatter: Column, n: int, rng: np.random.Generator) -> Column:
    length = max(1, len(scatter) // _PIECES)
    starts = rng.integers(0, len(scatter), -(-n // length))
    places = (starts[:, None] + np.arange(length)[None, :]) % len(scatter)
    again: Column = scatter[places.ravel()[:n]]
    return again
