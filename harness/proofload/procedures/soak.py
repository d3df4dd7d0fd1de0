"""soak: a steady load for long; does anything grow without end?

A main stretch at one rate, in windows that are judged one at a time so that a day needs no more memory than an
hour; then a short stretch at another rate and an idle one, which tell what grows by requests from what grows with time.
"""

from __future__ import annotations

import math

from proofload.engine.client import Stretch
from proofload.procedures import Bench, Evidence, Findings
from proofload.procedures._soak.judging import conclude
from proofload.procedures._soak.settings import Settings
from proofload.scenarios import Scenario

OTHER = "another rate"
IDLE = "soak-idle"
LEVEL = frozenset({"constant", "poisson"})
MOST_IN_WINDOW = 1_000_000
"""Requests judged at a time: about 300 MB."""


__all__ = ["Settings", "create"]


def create() -> Soak:
    return Soak()


class Soak:
    """See `proofload.procedures.Procedure`."""

    def peak_rps(self, scenario: Scenario) -> float:
        return scenario.rate_rps + 10.0 * math.sqrt(scenario.rate_rps)

    def conduct(self, bench: Bench, scenario: Scenario) -> None:
        settings = _own(scenario)
        stretches = windows(settings)
        if settings.another_s:
            stretches.append(
                Stretch(
                    name=OTHER,
                    rate_rps=settings.rate_rps * settings.another_rate,
                    duration_s=settings.another_s,
                    arrival="poisson",
                    seed=settings.seed + len(stretches),
                    measured=False,
                )
            )
        bench.load(*stretches)
        if settings.idle_s:
            bench.note(IDLE, what="begins")
            bench.pause(settings.idle_s)
            bench.note(IDLE, what="ends")

    def judge(self, evidence: Evidence, scenario: Scenario) -> Findings:
        return conclude(evidence, _own(scenario), planned_windows=len(windows(_own(scenario))))


def windows(settings: Settings) -> list[Stretch]:
    """The main stretch, cut into windows of equal length; arrivals that are no steady rate are not cut."""
    longest = settings.window_s or MOST_IN_WINDOW / settings.rate_rps
    count = max(1, math.ceil(settings.duration_s / longest)) if settings.arrival in LEVEL else 1
    return [
        Stretch(
            name="soak" if count == 1 else f"soak {number + 1}/{count}",
            rate_rps=settings.rate_rps,
            duration_s=settings.duration_s / count,
            arrival=settings.arrival,
            shape=settings.shape,
            seed=settings.seed + number,
        )
        for number in range(count)
    ]


def _own(scenario: Scenario) -> Settings:
    assert isinstance(scenario, Settings)
    return scenario
