"""How much of the load a target's own prediction cache took off it, by the target's own counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proofload.report.reduce.readings import Readings, increments

WAYS = ("hits", "joined", "misses", "skipped")


@dataclass(frozen=True, slots=True)
class CacheShare:
    """Requests of the measured phases: known, answered with an equal one's computation, unknown, not looked up."""

    hits: int
    joined: int
    misses: int
    skipped: int

    @property
    def asked(self) -> int:
        return self.hits + self.joined + self.misses + self.skipped

    @property
    def hit_share(self) -> float:
        return self.hits / self.asked


def cache_share(
    readings: Mapping[tuple[int, str, str], Readings], windows: Sequence[tuple[int, int]], arm: int = 0
) -> CacheShare | None:
    """None when the target exports no proofload_cache_hits_total, or counted nothing within `windows` (ns)."""
    found = [increments(readings, arm, f"proofload_cache_{way}_total") for way in WAYS]
    if found[0] is None:
        return None
    spans = windows or [(int(found[0].t_ns[0]) - 1, int(found[0].t_ns[-1]))]
    share = CacheShare(*(round(sum(way.within(*span) for span in spans)) if way else 0 for way in found))
    return share if share.asked else None
