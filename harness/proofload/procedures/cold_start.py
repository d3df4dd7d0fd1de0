"""cold-start: what a fresh instance does to the first users, restart by restart, and when a second one joins."""

from __future__ import annotations

import math

from proofload.clock import Clock, MonotonicClock
from proofload.procedures import Bench, Evidence, Findings
from proofload.procedures._cold_start.findings import concluded
from proofload.procedures._cold_start.join import join
from proofload.procedures._cold_start.lives import Lives
from proofload.procedures._cold_start.restarting import restarter
from proofload.procedures._cold_start.settings import Settings
from proofload.scenarios import Scenario

STARTS_ITS_TARGETS = True


__all__ = ["Settings", "create"]


def create() -> ColdStart:
    return ColdStart()


class ColdStart:
    """See `proofload.procedures.Procedure`."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or MonotonicClock()

    def peak_rps(self, scenario: Scenario) -> float:
        return scenario.rate_rps + 10.0 * math.sqrt(scenario.rate_rps)

    def conduct(self, bench: Bench, scenario: Scenario) -> None:
        assert isinstance(scenario, Settings)
        start = restarter(bench, scenario, self._clock)
        lives = Lives(bench, scenario, start, self._clock)
        lives.restart_again_and_again()
        if lives.warm_instance_is_up:
            lives.steady()
            if scenario.joining_s and not lives.hopeless:
                join(bench, scenario, start)
        lives.end()
        lives.rest_one_if_openings_were_slow()

    def judge(self, evidence: Evidence, scenario: Scenario) -> Findings:
        assert isinstance(scenario, Settings)
        return concluded(evidence, scenario)
