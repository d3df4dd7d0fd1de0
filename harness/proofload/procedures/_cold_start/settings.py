"""The keys of a cold start."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from proofload.scenarios import Positive, Rate, Scenario, Seconds


class Settings(Scenario):
    """Load begins when the target says ready, as a load balancer would send it."""

    rate_rps: Rate = 100.0
    restarts: Annotated[int, Field(ge=1, le=10_000)] = 60
    """`restart_budget_s` may end them earlier."""
    restart_budget_s: Seconds = 7200.0
    """After it no further restart begins, once there are as many as bound `quantile`."""
    page_cache: Annotated[tuple[Literal["warm", "cold"], ...], Field(strict=False, min_length=1)] = ("warm", "cold")
    """Conditions, drawn in random order."""
    compile_cache_env: str = ""
    """The environment variable that names the target's compile or engine cache, where it has one: each condition is
    then run with an empty folder and with one that earlier restarts have filled."""
    cache_files: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Glob patterns of files to drop from the page cache besides those the target has open, mapped or named."""
    restart: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """For external targets: a command that stops the target, starts it, and returns once the old one is gone."""
    ready_limit_s: Positive = 30.0
    patience: Annotated[float, Field(ge=1, le=100)] = 1.5
    """A restart is given up after this many times the limit."""
    opening_s: Positive = 0.5
    """The first moments of load in which users meet a cold instance."""
    load_s: Positive = 2.0
    """Load on every fresh instance."""
    penalty_ms: Positive = 100.0
    """How much slower than the warm instance's slowest the slowest answer of an opening may be."""
    steady_s: Positive = 60.0
    """Load on the last instance once it is warm: what the others are compared with."""
    joining_s: Annotated[float, Field(ge=0, le=3600)] = 20.0
    """Load while a second instance joins and after; 0: none does."""
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """A pass: this share of restarts is free of harm; one that shows harm passes only by `tolerated_share`."""
    restart_confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    tolerated_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """A fail: more than this share of restarts is harmed."""
