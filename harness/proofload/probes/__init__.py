"""Periodic readings from outside the target. One file per probe, found by discovery.

A probe module defines

    create(subject: Subject) -> Probe | None        None: it does not apply to this subject
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from proofload.records import Reading


@dataclass(frozen=True, slots=True)
class Subject:
    """What there is to be read of one target."""

    arm: int
    pids: Sequence[int] = ()
    metrics_url: str = ""
    live_url: str = ""
    """The page that says whether it lives, or for want of one whether it is ready."""
    container_id: str = ""


class Probe(Protocol):
    interval_s: float

    def read(self) -> Iterable[Reading]:
        """Readings of now. Raises OSError or TargetError when the subject is gone: the lab records the
        gap and tries again, and never invents a value."""

    def close(self) -> None: ...
