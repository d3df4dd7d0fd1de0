"""load: a planned rate for a planned time, warm-up left out, the SLO checked."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from proofload.clock import NS_PER_S
from proofload.cost.cost import cost_at_rate
from proofload.discovery import module_for
from proofload.engine.client import Stretch
from proofload.procedures import Bench, Evidence, Findings
from proofload.procedures._measured_phase import Circumstances, measure
from proofload.scenarios import Scenario
from proofload.workloads.arrivals import ArrivalSpec

Settings = Scenario


def create() -> Load:
    return Load()


class Load:
    """See `proofload.procedures.Procedure`."""

    def peak_rps(self, scenario: Scenario) -> float:
        spec = ArrivalSpec(
            scenario.arrival, scenario.rate_rps, scenario.duration_s, scenario.seed, scenario.shape
        )
        return max(scenario.rate_rps, _busiest_second(module_for("arrival", scenario.arrival).create(spec)))

    def conduct(self, bench: Bench, scenario: Scenario) -> None:
        load = Stretch(
            name="load",
            rate_rps=scenario.rate_rps,
            duration_s=scenario.duration_s,
            arrival=scenario.arrival,
            shape=scenario.shape,
            seed=scenario.seed,
        )
        if scenario.warmup_s == "auto" or scenario.warmup_s == 0:
            bench.load(load)
            return
        warm_up = Stretch("warm-up", scenario.rate_rps, scenario.warmup_s, seed=scenario.seed + 1, measured=False)
        bench.load(warm_up, load)

    def judge(self, evidence: Evidence, scenario: Scenario) -> Findings:
        around = Circumstances.of(evidence)
        measured = [
            measure(
                phase,
                evidence.samples(phase.index),
                scenario,
                around,
                find_warmup=scenario.warmup_s == "auto" and phase.measured,
                alpha_fail=scenario.alpha_fail,
            )
            for phase in evidence.phases
        ]
        judged = [one for one in measured if one.summary.measured]
        if not judged:
            return Findings(tuple(one.summary for one in measured), (), nothing_measured(around))
        [main] = judged
        return Findings(
            phases=tuple(one.summary for one in measured),
            checks=main.checks,
            validity=main.validity,
            client=main.health,
            cost=cost_at_rate(evidence.run, scenario, main.summary),
            warmup=main.warmup.evidence if main.warmup is not None else {},
        )


def _busiest_second(blocks: Iterable[np.ndarray[tuple[int], np.dtype[np.int64]]]) -> float:
    busiest, last, count = 0, -1, 0
    for block in blocks:
        seconds, counts = np.unique(block // NS_PER_S, return_counts=True)
        if int(seconds[0]) == last:
            counts[0] += count
        last, count = int(seconds[-1]), int(counts[-1])
        busiest = max(busiest, int(counts.max()))
    return float(busiest)
