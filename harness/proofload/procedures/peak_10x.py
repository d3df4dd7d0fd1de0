"""peak-10x: a ramp to ten times the base load, a hold there, and the way back.

Does goodput fall off a cliff, are the excess requests refused and fast, is the target itself again afterwards, and if
not, why? What it can serve is first estimated in a few bursts, unless the base load is given.
"""

from __future__ import annotations

import math

import numpy as np

from proofload.analysis.quick_capacity import Burst, burst_of, estimate, is_bound, next_rate
from proofload.analysis.summary import with_outcome
from proofload.clock import NS_PER_S
from proofload.procedures import Bench, Evidence, Findings
from proofload.procedures._peak_10x import plan
from proofload.procedures._peak_10x.findings import found
from proofload.procedures._peak_10x.looks import looking
from proofload.procedures._peak_10x.plan import Settings
from proofload.procedures._peak_10x.reading import read
from proofload.records import Outcome, Phase, Samples
from proofload.scenarios import Scenario

__all__ = ["Peak", "Settings", "create"]

_COLD = 5
"""Requests of the trickle that may find everything cold."""
_RESTS = 6
_CALM_OK = 0.9
_CALM_SLOWER = 2.0
_CALM_FREE_S = 0.005
_PAUSE_S = 0.5


def create() -> Peak:
    return Peak()


class Peak:
    """See `proofload.procedures.Procedure`."""

    def peak_rps(self, scenario: Scenario) -> float:
        settings = _own(scenario)
        base = settings.base_rate_rps
        top = settings.most_rps if base is None else base * settings.peak_multiple
        return top + 10.0 * math.sqrt(top)

    def conduct(self, bench: Bench, scenario: Scenario) -> None:
        settings = _own(scenario)
        with looking(bench):
            self._conduct(bench, settings)

    def _conduct(self, bench: Bench, settings: Settings) -> None:
        lone_s = _lone(bench, settings)
        base = settings.base_rate_rps
        if base is None:
            tried = [] if lone_s is None else _bursts(bench, settings, lone_s)
            capacity = estimate(tried)
            if capacity is None:
                bench.note(plan.NO_CAPACITY, bursts=len(tried))
                return
            base = min(settings.base_share * capacity, settings.most_rps / settings.peak_multiple)
            bench.note("peak-base", base_rps=base, capacity_rps=capacity, at_least=is_bound(tried))
        else:
            bench.note("peak-base", base_rps=base)
        bench.load(*plan.overload(settings, base))

    def judge(self, evidence: Evidence, scenario: Scenario) -> Findings:
        settings = _own(scenario)
        if not evidence.phases:
            return Findings.nothing(evidence)
        return found(read(evidence, settings), evidence, settings)


def _own(scenario: Scenario) -> Settings:
    assert isinstance(scenario, Settings)
    return scenario


def _lone(bench: Bench, settings: Settings) -> float | None:
    """Seconds that a lone request takes, the median; None where none went well, however often it was tried."""
    [phase] = bench.load(plan.trickle(settings))
    lone_s = _median_s(bench.samples(phase), skip=_COLD)
    for number in range(1, _RESTS + 1):
        if lone_s is not None:
            break
        bench.pause(_PAUSE_S)
        [phase] = bench.load(plan.rest(settings, number))
        lone_s = _median_s(bench.samples(phase))
    return lone_s


def _bursts(bench: Bench, settings: Settings, lone_s: float) -> list[Burst]:
    """What it served of each burst; it is let come to rest after each that was too much for it."""
    tried: list[Burst] = []
    first = max(settings.trickle_rps, 2.0 / max(lone_s, 1.0 / settings.most_rps))
    while (rate := next_rate(tried, first_rps=first, max_rps=settings.most_rps)) is not None:
        [phase] = bench.load(plan.burst(settings, len(tried) + 1, rate))
        tried.append(burst_of(bench.samples(phase), rate))
        if not tried[-1].kept_up:
            _rest(bench, settings, lone_s)
    return tried


def _rest(bench: Bench, settings: Settings, lone_s: float) -> None:
    """Until lone requests take what they took before."""
    for number in range(1, _RESTS + 1):
        [phase] = bench.load(plan.rest(settings, number))
        if _calm(phase, bench.samples(phase), lone_s):
            return
        bench.pause(_PAUSE_S)
    bench.note("not-recovered", rests=_RESTS)


def _calm(phase: Phase, samples: Samples, lone_s: float) -> bool:
    second_half = samples.where(samples.table["intended_ns"] >= phase.start_ns + NS_PER_S // 2)
    ok = with_outcome(second_half, Outcome.OK)
    median_s = _median_s(second_half)
    limit_s = _CALM_SLOWER * lone_s + _CALM_FREE_S
    return median_s is not None and float(np.mean(ok)) >= _CALM_OK and median_s <= limit_s


def _median_s(samples: Samples, *, skip: int = 0) -> float | None:
    ok = np.flatnonzero(with_outcome(samples, Outcome.OK))
    ok = ok[ok >= skip] if len(ok) > 2 * skip else ok
    return float(np.median(samples.service_ns[ok])) / NS_PER_S if len(ok) else None
