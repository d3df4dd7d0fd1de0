"""load: a planned rate for a planned time, warm-up left out, the SLO checked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.clock import NS_PER_S
from proofload.discovery import module_for
from proofload.engine.client import Stretch
from proofload.procedures import Bench, Circumstances, Evidence, Findings
from proofload.procedures._measured_phase import measure
from proofload.procedures._pricing import priced
from proofload.records import Interval
from proofload.scenarios import Scenario
from proofload.workloads.arrivals import ArrivalSpec

Settings = Scenario
LEVEL = frozenset({"constant", "poisson"})
"""Arrivals at one rate; elsewhere a change of latency may be a change of rate, so no warm-up is looked for."""


def create() -> Load:
    return Load()


class Load:
    """See `proofload.procedures.Procedure`."""

    def peak_rps(self, scenario: Scenario) -> float:
        if scenario.arrival in LEVEL:
            return scenario.rate_rps + 10.0 * math.sqrt(scenario.rate_rps)
        return max(scenario.rate_rps, _busiest_second(module_for("arrival", scenario.arrival).create(_spec(scenario))))

    def conduct(self, bench: Bench, scenario: Scenario) -> None:
        load = Stretch(
            name="load",
            rate_rps=scenario.rate_rps,
            duration_s=_lasts_s(scenario),
            arrival=scenario.arrival,
            shape=scenario.shape,
            seed=scenario.seed,
        )
        if scenario.warmup_s == "auto" or not scenario.warmup_s:
            bench.load(load)
            return
        warm_up = Stretch("warm-up", scenario.rate_rps, scenario.warmup_s, seed=scenario.seed + 1, measured=False)
        bench.load(warm_up, load)

    def judge(self, evidence: Evidence, scenario: Scenario) -> Findings:
        around = Circumstances.of(evidence)
        level = scenario.arrival in LEVEL
        measured = [
            measure(
                phase,
                evidence.samples(phase.index),
                scenario,
                around,
                find_warmup=scenario.warmup_s == "auto" and phase.measured and level,
            )
            for phase in evidence.phases
        ]
        main = next((one for one in measured if one.summary.measured), None)
        if main is None:
            return Findings.nothing(evidence)
        told: dict[str, Any] = {} if main.warmup is None else {"detail": main.warmup.detail, **main.warmup.evidence}
        rate = main.summary.offered_rps
        return Findings(
            phases=tuple(one.summary for one in measured),
            checks=main.checks,
            validity=main.validity,
            client=main.health,
            cost=priced(evidence, scenario, main, rate, Interval(rate, rate), at_capacity=False),
            warmup={**told, "excluded": main.summary.excluded},
        )


def _spec(scenario: Scenario) -> ArrivalSpec:
    return ArrivalSpec(scenario.arrival, scenario.rate_rps, scenario.duration_s, scenario.seed, scenario.shape)


def _lasts_s(scenario: Scenario) -> float:
    """The duration asked for, or less where the schedule ends before: a rate is of the time when there was load."""
    ends_s = getattr(module_for("arrival", scenario.arrival), "ends_s", None)
    return scenario.duration_s if ends_s is None else min(scenario.duration_s, ends_s(_spec(scenario)))


def _busiest_second(blocks: Iterable[NDArray[np.int64]]) -> float:
    busiest, last, count = 0, -1, 0
    for block in blocks:
        seconds, counts = np.unique(block // NS_PER_S, return_counts=True)
        if int(seconds[0]) == last:
            counts[0] += count
        last, count = int(seconds[-1]), int(counts[-1])
        busiest = max(busiest, int(counts.max()))
    return float(busiest)
