"""A rate that rises (or falls) in a straight line from `rate_rps` to `shape.to_rps`.

`shape.spacing`: "even" (default) or "poisson".
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from proofload.workloads.arrivals import ArrivalSpec
from proofload.workloads.arrivals._rescaling import known_keys, positions, positive, rescaled


def create(spec: ArrivalSpec) -> Iterator[NDArray[np.int64]]:
    known_keys(spec, "to_rps", "spacing")
    first = positive(spec.rate_rps, "rate_rps")
    last = positive(spec.shape.get("to_rps"), "shape.to_rps")
    slope = (last - first) / spec.duration_s

    def inverse(count: NDArray[np.float64]) -> NDArray[np.float64]:
        # The positive root of first·t + slope·t²/2 = count, in the form that is stable for slope → 0.
        inside = first * first + 2 * slope * count
        seconds = 2 * count / (first + np.sqrt(np.maximum(inside, 0.0)))
        return np.where(inside >= 0, seconds, np.inf)

    return rescaled(positions(spec, "even"), inverse, spec.duration_s)
