"""What an overload showed: between judging it and putting it into words."""

from __future__ import annotations

from dataclasses import dataclass

from proofload.analysis.goodput import Ratio
from proofload.analysis.overload_recovery import Baseline, Recovery
from proofload.records import Check


@dataclass(frozen=True, slots=True)
class Shown:
    """What the run showed, before it is put into words."""

    ratios: dict[str, Ratio | None]
    baseline: Baseline | None
    recovery: Recovery | None
    lone_ms: float | None
    checks: tuple[Check, ...]
    unseen: dict[str, str]
    """Checks that do not apply, because there is nothing for the lab to look at, and why. They name causes; without
    them goodput, refusals and recovery are judged all the same."""
    others_share: float | None
    """Of the target's cores, used by others meanwhile."""
