"""What is said of serving in public, tried on this machine: confirmed, not confirmed, or not to be told.

A claim is one file in `published/`, found by discovery: what is said, where, the prediction that it makes in numbers,
and the experiment that tries it. Experiments go through the lab: servers are started, pinned, driven and checked as in
any other run, and each leaves its run folders behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proofload.records import Interval

if TYPE_CHECKING:
    from proofload.claims.laboratory import Laboratory


STAND_IN = "stand-in"
"""The doubt that something else was measured than what the claim speaks of; trying again would not remove it."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a claim comes down to: a quantity that lies between two numbers; None where it has no end."""

    quantity: str
    """As a table says it: "p50 over HTTP ÷ p50 over gRPC"."""
    unit: str
    """"×", "ms", "%", or "" for a bare number."""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of the experiment. Without a value nothing could be measured, and `detail` says why."""

    value: float | None
    interval: Interval
    """Where the quantity lies at 99 %, over the lifetimes that the servers might have had; an end may be unknown."""
    detail: str
    """How it was measured and what else was seen, in a sentence or two."""
    doubts: tuple[str, ...] = ()
    """Why it may not be believed: validity codes of the runs, or what stood in for the real thing."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One published claim."""

    number: int
    """Its place in the table; `--only` takes it, or the name."""
    name: str
    says: str
    source: str
    predicts: Prediction
    how: str = ""
    """The experiment, in a sentence."""
    measure: Callable[[Laboratory], Measured] | None = None
    """None: it cannot be tried here; `untried` says why."""
    untried: str = ""
