"""blue-green: the second version is started and warmed beside the first, and all traffic is switched to it at once.

blue       all on the first version: what is usual
green      all on the second; watched, and taken back at once on harm; the first version is kept
blue again the way back, tried while it is not needed
green      for good; then the first version is told to end, while the load goes on
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from proofload.engine.client import Stretch
from proofload.procedures import Bench, Circumstances, Evidence, Findings
from proofload.procedures._blue_green.findings import checks_of, details_of, found_by, headline_of
from proofload.procedures._blue_green.guard import Guard
from proofload.procedures._rollout.moving import BASELINE, CANARY, Rollout, Trip, deployed, stage_ends
from proofload.procedures._rollout.settings import RolloutSettings
from proofload.procedures._rollout.versions_judging import (
    all_valid,
    does_not_serve,
    for_users,
    keeps_slo,
    measured,
    stays_up,
)
from proofload.records import SAMPLE_DTYPE, Samples, Status
from proofload.scenarios import Positive, Scenario, Seconds, Share
from proofload.verdict.shadow import Tolerance

STARTS_ITS_TARGETS = True
BLUE, GREEN, BACK, FINAL = "blue", "green", "blue again", "green for good"
_FEWEST_S = 10.0
_AFTER_RETURN_S = 2.0
_GUARDS = 0.8
"""The guards' part of the error rate of a fail."""
_EACH = (1.0 - _GUARDS) / 4
"""That of [slo], of what the switches lost, and of what the end of either version lost."""


class Settings(RolloutSettings):
    """The keys of blue-green."""

    blue_s: Annotated[Seconds, Field(ge=_FEWEST_S)] = 60.0
    """All traffic on the first version, for comparison."""
    proving_s: Annotated[Seconds, Field(ge=_FEWEST_S)] = 300.0
    """How long the second version carries all of it before it counts as proven."""
    return_s: Seconds = 30.0
    """How long it is back on the first version, to try the way back."""
    final_s: Seconds = 30.0
    switch_s: Positive = 5.0
    """A switch may take so long."""
    slower: Positive = 0.2
    slower_ms: Positive = 1.0
    """A median may be slower by this share, and by so many milliseconds."""
    tail_share: Share = 0.005
    """So much more of the answers may take three times the p99."""
    failed_share: Share = 0.005
    """So much more of the requests may fail, or be answered wrongly."""

    @model_validator(mode="after")
    def _lasts(self) -> Settings:
        for name in ("return_s", "final_s"):
            if getattr(self, name) < 1.0:
                raise ValueError(f"{name} of at least 1 s: a switch is judged by what comes after it")
        return self

    @property
    def tolerance(self) -> Tolerance:
        return Tolerance(self.slower, self.slower_ms, self.tail_share, self.failed_share)


def create() -> BlueGreen:
    return BlueGreen()


class BlueGreen:
    """See `proofload.procedures.Procedure`."""

    def peak_rps(self, scenario: Scenario) -> float:
        return 2.0 * scenario.rate_rps

    def conduct(self, bench: Bench, scenario: Scenario) -> None:
        settings = _own(scenario)
        with deployed(bench, settings) as rollout:
            if rollout is None:
                return
            stretches = _stretches(settings)
            with bench.loading(*stretches) as running:
                blue, green, back, final = stage_ends(running.start_ns, stretches)
                seen = _Seen()
                trip = rollout.watch(running, blue, seen.keep)
                if trip is None:
                    switched_ns = rollout.move(1.0, why=GREEN)
                    guard = Guard(running.start_ns, switched_ns, settings.tolerance, _GUARDS * settings.alpha_fail)
                    trip = rollout.watch(running, green, lambda fresh: _looked(guard, seen, fresh))
                    trip = trip or _trip(guard.harm_at_the_end(seen.all(), green))
                if trip is None:
                    rollout.move(0.0, why=BACK)
                    trip = rollout.watch(running, back)
                if trip is None:
                    rollout.move(1.0, why=FINAL)
                    rollout.retire(BASELINE)
                    trip = rollout.watch(running, final)
                if trip is not None:
                    _taken_back(rollout, trip)
                    running.wait(_AFTER_RETURN_S)
                    running.cut()

    def judge(self, evidence: Evidence, scenario: Scenario) -> Findings:
        settings = _own(scenario)
        up = stays_up(evidence)
        phases = {phase.name: phase for phase in evidence.phases if phase.name in (BLUE, GREEN, BACK, FINAL)}
        ran = {name: phase for name, phase in phases.items() if phase.planned > 0}
        if GREEN not in ran:
            nothing = Findings.nothing(evidence)
            return nothing if up.status is not Status.FAIL else Findings((), (up,), (), headline=(up.evidence,))
        around = Circumstances.of(evidence)
        parts = {name: evidence.samples(phase.index) for name, phase in ran.items()}
        judged = {name: measured(phase, parts[name], settings, around) for name, phase in ran.items()}
        samples = for_users(Samples(np.concatenate([part.table for part in parts.values()])))
        found = found_by(
            evidence.events,
            samples,
            evidence.users(),
            start_ns=ran[BLUE].start_ns,
            tolerance=settings.tolerance,
            alpha_fail=_GUARDS * settings.alpha_fail,
            alpha_pass=settings.alpha_pass,
        )
        each = _EACH * settings.alpha_fail
        served = [(phase, parts[name]) for name, phase in ran.items()]
        serving = BASELINE if found.taken_back else CANARY
        first = keeps_slo(served, BASELINE, settings, around, alpha_fail=each)
        checks = checks_of(
            found,
            up,
            keeps_slo(served, serving, settings, around, alpha_fail=each),
            switch_s=settings.switch_s,
            planned={FINAL, BACK} <= set(ran),
            alpha_fail=each,
        )
        return Findings(
            phases=tuple(one.summary for one in judged.values()),
            checks=checks,
            validity=all_valid({name: judged[name] for name in (BLUE, GREEN)}),
            client=judged[GREEN].health,
            headline=(*does_not_serve(first, checks), *headline_of(found, checks)),
            details=details_of(found, samples, ran[BLUE].start_ns),
        )


class _Seen:
    """All requests that have become final so far."""

    def __init__(self) -> None:
        self._tables = [np.zeros(0, SAMPLE_DTYPE)]

    def keep(self, fresh: Samples) -> None:
        self._tables.append(fresh.table)

    def all(self) -> Samples:
        self._tables = [np.concatenate(self._tables)]
        return Samples(self._tables[0])


def _looked(guard: Guard, seen: _Seen, fresh: Samples) -> Trip | None:
    seen.keep(fresh)
    return _trip(guard.harm(seen.all())) if guard.seen(fresh) else None


def _trip(harm: tuple[str, str] | None) -> Trip | None:
    return None if harm is None else Trip(*harm)


def _taken_back(rollout: Rollout, trip: Trip) -> None:
    """To the first version, unless it has been told to end: there is no way back then."""
    if BASELINE in rollout.up:
        rollout.roll_back(trip)


def _stretches(settings: Settings) -> list[Stretch]:
    lengths = {BLUE: settings.blue_s, GREEN: settings.proving_s, BACK: settings.return_s, FINAL: settings.final_s}
    return [
        Stretch(name, settings.rate_rps, length_s, arrival=settings.arrival, seed=settings.seed + 10 + number)
        for number, (name, length_s) in enumerate(lengths.items())
    ]


def _own(scenario: Scenario) -> Settings:
    assert isinstance(scenario, Settings)
    return scenario
