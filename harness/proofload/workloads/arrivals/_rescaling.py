"""Arrivals of any rate curve from arrivals of rate one.

Time-rescaling: if the positions u₁ < u₂ < … are arrivals at unit rate and Λ(t) is the expected count up
to t, then Λ⁻¹(u) are arrivals at the rate Λ'(t) (Daley & Vere-Jones, An Introduction to the Theory of
Point Processes, 2nd ed., §7.4). Positions 0, 1, 2, … give an even schedule, sums of unit exponentials a
Poisson process; each due time comes from its own position, so errors never add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from proofload.clock import NS_PER_S
from proofload.errors import InputError
from proofload.workloads.arrivals import BLOCK, ArrivalSpec

Inverse = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Λ⁻¹: expected counts to seconds from the phase's start; beyond the curve's end: infinity."""


def even_positions() -> Iterator[NDArray[np.float64]]:
    """0, 1, 2, …"""
    start = 0
    while True:
        yield np.arange(start, start + BLOCK, dtype=np.float64)
        start += BLOCK


def poisson_positions(seed: int) -> Iterator[NDArray[np.float64]]:
    """Sums of unit exponentials."""
    random = np.random.default_rng(seed)
    reached = 0.0
    while True:
        block = reached + np.cumsum(random.exponential(size=BLOCK))
        reached = float(block[-1])
        yield block


def positions(spec: ArrivalSpec, default: str) -> Iterator[NDArray[np.float64]]:
    """The unit-rate positions that `shape.spacing` ("even" or "poisson") asks for."""
    spacing = spec.shape.get("spacing", default)
    if spacing == "even":
        return even_positions()
    if spacing == "poisson":
        return poisson_positions(spec.seed)
    raise InputError(f"shape.spacing is {spacing!r}", remedy='use "even" or "poisson"')


def rescaled(units: Iterator[NDArray[np.float64]], inverse: Inverse, duration_s: float) -> Iterator[NDArray[np.int64]]:
    """Due times in nanoseconds, below the duration."""
    end_ns = round(duration_s * NS_PER_S)
    for block in units:
        seconds = inverse(block)
        due = np.rint(np.minimum(seconds, duration_s) * NS_PER_S).astype(np.int64)
        keep = int(np.searchsorted(due, end_ns, side="left"))
        if keep:
            yield due[:keep]
        if keep < len(due):
            return


def positive(value: object, name: str) -> float:
    """A number above zero out of the user's shape table."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise InputError(
            f"{name} is {value!r}", cause="it has to be a number above zero", remedy=f"--set {name}=NUMBER"
        )
    return float(value)


def known_keys(spec: ArrivalSpec, *known: str) -> None:
    """Refuse a shape key that this arrival process does not understand."""
    unknown = sorted(set(spec.shape) - set(known))
    if unknown:
        raise InputError(
            f"arrival {spec.name!r} does not know shape.{unknown[0]}",
            evidence=f"it understands: {', '.join('shape.' + key for key in known) or 'no shape keys'}",
            remedy="remove the key, or choose the arrival process that has it",
        )
