"""canary-rollback: a second version gets the traffic step by step, guarded; what goes wrong is taken back by itself.

Baseline and canary are started and warmed. The baseline alone shows what is usual; then the canary's share moves
through the stages, while sequential guards look at every block of time. The first that trips moves everything back and
ends the canary under load. A rollout without harm ends with a hand-over: the old version is told to end while requests
are on their way to it, and so, at the very end, is the new one.
"""

from __future__ import annotations

import math
from time import monotonic_ns
from typing import Annotated

from pydantic import Field, model_validator

from proofload.analysis.guard_rules import Rules
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.engine.client import Stretch
from proofload.procedures import Bench, Evidence, Findings, Running
from proofload.procedures._rollout.guarding import Guarding
from proofload.procedures._rollout.judging import judged
from proofload.procedures._rollout.moving import BASELINE, CANARY, Rollout, Trip, deployed, stage_ends
from proofload.procedures._rollout.reading import known_before
from proofload.procedures._rollout.settings import RolloutSettings
from proofload.scenarios import Positive, Scenario, Seconds, Share
from proofload.verdict.rollout import GUARDS, Tolerances

STARTS_ITS_TARGETS = True
_SLACK_S = 0.2
"""A stage is so much longer than its blocks: moves take time."""
_QUIET_S, _REST_S = 0.3, 1.5
_EVERY_S, _BURST_S = 0.016, 0.001
_INTO_THE_BURST_NS = 4 * NS_PER_MS
_BURST, _BURSTS, _LAST = 32, 10, 3
_TRAIN_FACTOR = 5.0
_HANDED_OVER = 0.15
"""The canary's share while the baseline is given something to have in flight."""


class Settings(RolloutSettings):
    """Keys of canary-rollback."""

    stages: Annotated[tuple[Share, ...], Field(strict=False, min_length=1)] = (0.05, 0.25, 0.5, 1.0)
    """Shares of the canary, rising."""
    stage_s: Seconds | Annotated[tuple[Seconds, ...], Field(strict=False)] = 900.0
    """How long each stage lasts: one number, or one for each."""
    baseline_s: Seconds = 300.0
    """How long the baseline alone is watched first."""
    hold_back: Annotated[float, Field(ge=0, lt=0.5)] = 0.05
    """The share that stays on the baseline at 100 %, so that there is something to compare with."""
    block_s: Annotated[float, Field(ge=0.5, le=60)] = 5.0
    """Guards look at blocks of so many seconds, at least twice as long as what stalls a server for a moment."""
    disagreement: Annotated[float, Field(gt=0, lt=0.5)] = 0.001
    """Tolerated share of mirrored predictions, and of version stamps, that differ."""
    slower: Positive = 0.2
    slower_ms: Positive = 1.0
    """An answer counts as slower from so much more of the baseline's quantile, and so many milliseconds, on."""
    tail_factor: Annotated[float, Field(gt=1)] = 3.0
    """The last guard on latency: answers slower than so many times the baseline's p99."""
    error_margin: Share = 0.005
    """To pass, at most so much more of the canary's answers may fail, or be wrong (upper bound of the difference)."""
    tail_margin: Share = 0.01
    """The same for answers slower than the baseline's p99, and far slower; many in a row, as after a stall, are one."""
    slower_margin: Share = 0.05
    """The same for answers slower than the baseline's median and p95; and for all slower than its p99."""
    tolerated: Annotated[float, Field(gt=0, lt=0.5)] = 0.001
    """Share of users that may change sides, and of requests that a switch may lose: a slip, no defect."""
    after_s: Seconds = 10.0
    """How long the load goes on after a rollback."""

    @model_validator(mode="after")
    def _stages_fit(self) -> Settings:
        if list(self.stages) != sorted(set(self.stages)):
            raise ValueError("stages that rise, like [0.05, 0.25, 0.5, 1.0]")
        if isinstance(self.stage_s, tuple) and len(self.stage_s) != len(self.stages):
            raise ValueError("as many stage_s as stages, or one number for all of them")
        if self.hold_back >= self.stages[-1]:
            raise ValueError("hold_back smaller than the last stage")
        return self

    def lengths(self) -> tuple[float, ...]:
        return self.stage_s if isinstance(self.stage_s, tuple) else (self.stage_s,) * len(self.stages)

    def rules(self) -> Rules:
        """What is known of the guards beforehand. Half of the error rate is theirs, see `verdict.rollout.GUARDS`."""
        return Rules(
            alpha=self.alpha_fail * GUARDS,
            block_s=self.block_s,
            disagreement=self.disagreement,
            slower=self.slower,
            slower_ms=self.slower_ms,
            tail_factor=self.tail_factor,
            stages=len(self.stages),
        )

    def tolerances(self) -> Tolerances:
        return Tolerances(
            errors=self.error_margin,
            tail=self.tail_margin,
            slower=self.slower_margin,
            disagreement=self.disagreement,
            slips=self.tolerated,
        )

    def shares(self) -> tuple[float, ...]:
        """What the canary really gets: at 100 % the held-back share stays behind."""
        return tuple(min(share, 1.0 - self.hold_back) for share in self.stages)


def create() -> CanaryRollback:
    return CanaryRollback()


class CanaryRollback:
    """See `proofload.procedures.Procedure`."""

    def peak_rps(self, scenario: Scenario) -> float:
        return 2 * max(
            scenario.rate_rps + 10 * math.sqrt(scenario.rate_rps), _LAST * _TRAIN_FACTOR * scenario.rate_rps + 200
        )

    def conduct(self, bench: Bench, scenario: Scenario) -> None:
        assert isinstance(scenario, Settings)
        with deployed(bench, scenario) as rollout:
            if rollout is None:
                return
            guarding = _guarding(bench, scenario, rollout)
            stretches = _plan(scenario, mirror=_mirror(scenario, rollout))
            with bench.loading(*stretches) as running:
                ends = stage_ends(running.start_ns, stretches)
                trip = _stages(rollout, running, guarding, scenario, ends)
                if trip is not None:
                    rollout.roll_back(trip)
                    rollout.watch(running, monotonic_ns() + round(scenario.after_s * NS_PER_S))
                elif rollout.stops(BASELINE):
                    _hand_over(rollout, running, ends[-2])
                running.cut()
            if trip is None and rollout.stops(CANARY):
                _close(bench, rollout, scenario)

    def judge(self, evidence: Evidence, scenario: Scenario) -> Findings:
        assert isinstance(scenario, Settings)
        return judged(
            evidence,
            scenario,
            stages=scenario.shares(),
            rules=scenario.rules(),
            tolerances=scenario.tolerances(),
        )


def _guarding(bench: Bench, scenario: Settings, rollout: Rollout) -> Guarding:
    around = bench.circumstances()
    before = known_before(
        rollout.baseline.target,
        rollout.canary.target,
        canary_version=scenario.canary_version,
        same=bench.canary is None or bench.canary.name == rollout.baseline.target.name,
        answers_checked=around.answers_checked,
        mirrored=_mirror(scenario, rollout) > 0,
        payloads=rollout.payloads,
        forced=rollout.forced,
        stamped=rollout.traffic.route.target is not None and not rollout.traffic.route.arm_header,
    )
    return Guarding(
        before,
        before.rules(scenario.rules()),
        rollout.warm_up,
        lambda: bench.circumstances().versions,
        scenario.workers,
    )


def _mirror(scenario: Settings, rollout: Rollout) -> float:
    return scenario.mirrored(rollout.baseline.target, rollout.canary.target)


def _plan(scenario: Settings, *, mirror: float) -> list[Stretch]:
    def level(name: str, seconds: float, seed: int, copies: float = 0.0) -> Stretch:
        arrival = scenario.arrival if scenario.arrival in {"constant", "poisson"} else "poisson"
        return Stretch(name, scenario.rate_rps, seconds, arrival, seed=scenario.seed + seed, mirror=copies)

    stages = [
        level(f"canary {share:.0%}", seconds + _SLACK_S, 11 + number, mirror)
        for number, (share, seconds) in enumerate(zip(scenario.stages, scenario.lengths(), strict=True))
    ]
    return [level("baseline", scenario.baseline_s, 10), *stages, _bursts("hand-over", scenario, 50, _REST_S)]


def _bursts(name: str, scenario: Settings, seed: int, rest_s: float = 0.0) -> Stretch:
    """A little of the load, a train of bursts, and a larger one that keeps a version busy when it is told to end."""
    burst = max(2.0, min(_BURST, round(scenario.rate_rps * _TRAIN_FACTOR * _EVERY_S)))
    pause = [1.0, _EVERY_S - _BURST_S]
    steps = [[scenario.rate_rps, _QUIET_S], *([[burst / _BURST_S, _BURST_S], pause] * _BURSTS)]
    steps += [[_LAST * burst / _BURST_S, _BURST_S], *([[scenario.rate_rps, rest_s]] if rest_s else [])]
    return Stretch(
        name,
        scenario.rate_rps,
        sum(seconds for _, seconds in steps),
        "step",
        {"steps": steps},
        seed=scenario.seed + seed,
        measured=False,
    )


def _stages(rollout: Rollout, running: Running, guarding: Guarding, scenario: Settings, ends: list[int]) -> Trip | None:
    """The baseline alone, then stage after stage, as long as no guard trips."""
    guarding.baseline(running.start_ns, ends[0])
    trip = rollout.watch(running, ends[0], guarding)
    for number, share in enumerate(scenario.shares()):
        if trip is not None:
            break
        guarding.begin(rollout.move(share, why=f"stage {number + 1}"))
        trip = rollout.watch(running, ends[number + 1], guarding)
    if trip is None:
        guarding.end(monotonic_ns())
        trip = rollout.watch(running, ends[-2] + round(_QUIET_S / 2 * NS_PER_S), guarding)
    return trip


def _hand_over(rollout: Rollout, running: Running, start_ns: int) -> None:
    """The old version gets most of some bursts; within the last everything moves, and it is told to end."""
    rollout.move(_HANDED_OVER, why="hand-over")
    rollout.watch(running, _within_the_last(start_ns))
    rollout.move(1.0, why="hand-over")
    rollout.retire(BASELINE)


def _close(bench: Bench, rollout: Rollout, scenario: Settings) -> None:
    """The new version is told to end while requests are on their way to it, and none follows."""
    if rollout.share != 1.0:
        rollout.move(1.0, why="close")
    with bench.loading(_bursts("close", scenario, 51)) as running:
        rollout.watch(running, _within_the_last(running.start_ns))
        rollout.retire(CANARY)


def _within_the_last(start_ns: int) -> int:
    """An instant just after the last burst has been sent."""
    return start_ns + round((_QUIET_S + _BURSTS * _EVERY_S + _BURST_S) * NS_PER_S) + _INTO_THE_BURST_NS
