"""The keys of a soak."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from proofload.scenarios import Positive, Scenario, Seconds, Share


class Settings(Scenario):
    horizon_h: Positive = 24.0
    """Growth matters that would take `headroom_share` of what is free within so many hours."""
    headroom_share: Share = 0.2
    granule_mib: Annotated[float, Field(ge=0)] = 1.0
    """What an allocator takes at a time: growth of so much within the run is none."""
    disk_headroom_gib: Positive = 10.0
    count_growth: Positive = 10.0
    """Descriptors, threads, sockets: growth within the judged time that matters, at least so many"""
    count_growth_per_1000: Positive = 1.0
    """and at least so many for 1,000 requests."""
    failures_growth: Share = 0.005
    """By how much the share of requests that do not end ok may grow within the run."""
    creep_p50_share: Positive = 0.25
    """By how much latency may grow within the run: a share of what it was at first, and milliseconds on top."""
    creep_p50_ms: Positive = 1.0
    creep_p99_share: Positive = 0.5
    creep_p99_ms: Positive = 5.0
    another_rate: Annotated[float, Field(gt=0, le=0.8)] = 0.25
    """The share of the rate at which requests come in the second stretch."""
    another_s: Annotated[float, Field(ge=0, le=10_000_000)] = 300.0
    idle_s: Annotated[float, Field(ge=0, le=10_000_000)] = 300.0
    window_s: Seconds | None = None
    """None: as long as a million requests take."""
