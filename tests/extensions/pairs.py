"""An arrival process in one file: requests due two at a time, the pairs evenly spaced."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from proofload.clock import NS_PER_S
from proofload.workloads.arrivals import BLOCK, ArrivalSpec


def create(spec: ArrivalSpec) -> Iterator[NDArray[np.int64]]:
    gap_ns = 2 * NS_PER_S / spec.rate_rps
    pairs = int(np.ceil(spec.duration_s * NS_PER_S / gap_ns))
    for first in range(0, pairs, BLOCK // 2):
        numbers = np.arange(first, min(first + BLOCK // 2, pairs))
        yield np.repeat(np.rint(numbers * gap_ns).astype(np.int64), 2)
