"""Stretches of constant rate, one after the other: `shape.steps = [[rate_rps, seconds], …]`.

`shape.spacing`: "even" (default) or "poisson". The phase ends with its duration, or with the last step.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from proofload.errors import InputError
from proofload.workloads.arrivals import ArrivalSpec
from proofload.workloads.arrivals._rescaling import known_keys, positions, positive, rescaled


def create(spec: ArrivalSpec) -> Iterator[NDArray[np.int64]]:
    known_keys(spec, "steps", "spacing")
    rates, seconds = _steps(spec)
    times = np.concatenate([[0.0], np.cumsum(seconds)])
    counts = np.concatenate([[0.0], np.cumsum(np.multiply(rates, seconds))])

    def inverse(count: NDArray[np.float64]) -> NDArray[np.float64]:
        inside = np.interp(count, counts, times)
        return np.where(count < counts[-1], inside, np.inf)

    return rescaled(positions(spec, "even"), inverse, min(spec.duration_s, float(times[-1])))


def ends_s(spec: ArrivalSpec) -> float:
    """When the last step does."""
    return float(np.sum(_steps(spec)[1]))


def _steps(spec: ArrivalSpec) -> tuple[list[float], list[float]]:
    steps = spec.shape.get("steps")
    if not isinstance(steps, list) or not steps or not all(isinstance(one, list) and len(one) == 2 for one in steps):
        raise InputError(
            f"shape.steps is {steps!r}",
            cause='arrival "step" needs a list of [rate_rps, seconds] pairs',
            remedy="for example --set 'shape.steps=[[100, 10], [200, 10]]'",
        )
    rates = [positive(rate, "shape.steps rate") for rate, _ in steps]
    return rates, [positive(seconds, "shape.steps seconds") for _, seconds in steps]
