"""Independent users: exponential gaps, seeded. The usual model of open traffic."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from proofload.workloads.arrivals import ArrivalSpec
from proofload.workloads.arrivals._rescaling import known_keys, poisson_positions, positive, rescaled


def create(spec: ArrivalSpec) -> Iterator[NDArray[np.int64]]:
    known_keys(spec)
    rate = positive(spec.rate_rps, "rate_rps")
    return rescaled(poisson_positions(spec.seed), lambda count: count / rate, spec.duration_s)
