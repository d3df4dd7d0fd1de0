"""Evenly spaced requests: the i-th is due at i ÷ rate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from proofload.workloads.arrivals import ArrivalSpec
from proofload.workloads.arrivals._rescaling import even_positions, known_keys, positive, rescaled


def create(spec: ArrivalSpec) -> Iterator[NDArray[np.int64]]:
    known_keys(spec)
    rate = positive(spec.rate_rps, "rate_rps")
    return rescaled(even_positions(), lambda count: count / rate, spec.duration_s)
