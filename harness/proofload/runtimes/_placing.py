"""Which cores a target gets. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    """The cores to pin to (empty: leave it alone), and what a limit could not be held to."""

    pinned: tuple[int, ...]
    shortfall: str = ""


def cores_for(limit: float | None, offered: Collection[int], available: Collection[int]) -> Cores:
    """`limit` cores, the highest of those offered by the lab, else of all available ones.

    The engine has the lowest core. Pinning gives whole cores: a fraction is rounded up, and said.
    """
    if limit is None:
        return Cores(tuple(sorted(offered)))
    pool = sorted(offered or available)
    wanted = math.ceil(limit)
    pinned = tuple(pool[-wanted:])
    if len(pinned) < wanted:
        return Cores(pinned, f"limits.cpus = {limit:g}, but it has {len(pinned)} core(s) here")
    if wanted != limit:
        return Cores(pinned, f"limits.cpus = {limit:g} is not enforced: a local process gets whole cores, {wanted}")
    return Cores(pinned)
