"""The scenario keys of kafka-delivery."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from proofload.scenarios import Scenario, Share
from proofload.verdict.delivery import Guarantee, rows_needed

Disturbance = Literal["restart", "kill", "join", "leave", "broker-restart"]
Span = Annotated[float, Field(ge=0, le=3600)]
SHARED: frozenset[Disturbance] = frozenset({"join", "leave"})
"""With two workers in one group."""
REPEAT = "it had been done before, and time was short"
SETTLING, STEADY = "settling", "steady"


class Settings(Scenario):
    guarantee: Guarantee = "at-least-once"
    disturbances: Annotated[tuple[Disturbance, ...], Field(strict=False)] = ("restart", "kill", "join", "leave")
    """In this order; one may come again, for a kill that hits nothing shows nothing."""
    keys: Annotated[int, Field(ge=1, le=1_000_000)] = 8
    """Over how many message keys the payloads are spread; a few, so that several of one key are under way at once."""
    order: Literal["key", "none"] = "key"
    """What the answers of one key owe each other: the order of sending, or nothing."""
    lost_share: Share = 0.001
    """What a pass rules out, at 95 %."""
    redelivery_s: Span = 5.0
    """How far back a killed worker's successor may repeat answers: Kafka's default interval between commits."""
    handover_redelivery_s: Span = 1.0
    """How far back after an orderly stop, which leaves time to commit."""
    recovery_s: Annotated[float, Field(gt=0, le=3600)] = 120.0
    """How long to wait for answers to come again: above the group's session time-out, 45 s by default in Kafka."""
    after_s: Span = 10.0
    """Load after answers have come again, in each phase."""
    repeat_within_s: Annotated[float, Field(ge=0, le=10_000_000)] = 10_000_000
    """What was done once is repeated only so long after the run's beginning."""
    pile_up_s: Span = 1.0
    """How long a worker is halted before it is killed, so that it has much to do; below its session time-out."""
    drain_s: Span = 30.0
    """How long to wait for answers that are missing at the end."""
    session_s: Annotated[float, Field(gt=0, le=3600)] = 6.0
    """For how long the group keeps a silent worker's share: {session_s} in `env`. At a broker that takes no session
    as short, the shortest that it takes."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment of every worker that is started; {run} in a value is a word of its own for each run."""

    @property
    def enough_s(self) -> float:
        """How long a worker has to be watched that nothing is done to, so that its messages are enough for a pass."""
        return max(self.duration_s, 1.1 * rows_needed(self.lost_share) / self.rate_rps)

    def plan(self) -> list[tuple[str, Disturbance]]:
        """The disturbances in order, each with the name of its phase: "kill", "kill 2"."""
        named: list[tuple[str, Disturbance]] = []
        for what in self.disturbances:
            number = 1 + sum(other == what for _, other in named)
            named.append((what if number == 1 else f"{what} {number}", what))
        return named
