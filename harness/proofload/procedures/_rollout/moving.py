"""The machinery that rollouts share: both versions up and warm, a driver that moves the traffic, and the way back.

    with deployed(bench, scenario) as rollout:          both up, warmed; all traffic on the baseline
        with bench.loading(*stretches) as running:
            rollout.move(0.05)                          the canary gets its share, from when this returns
            trip = rollout.watch(running, until_ns, look)
            if trip is not None:
                rollout.roll_back(trip)                 share 0; the canary is told to end while load goes on

However the block ends, the traffic is back on the baseline and the canary is stopped. What was done is on record
as events: "share" (canary_share, asked_ns, done_ns, why), "rollback" (guard, reason), "retire" (arm, told_ns).
Baseline is arm 0, canary arm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from time import monotonic_ns

import numpy as np

from proofload.clock import NS_PER_S
from proofload.drivers import Stage, Traffic
from proofload.engine.client import Stretch
from proofload.errors import InputError, TargetError
from proofload.procedures import Bench, Running
from proofload.procedures._rollout.settings import RolloutSettings
from proofload.records import SAMPLE_DTYPE, Samples
from proofload.runtimes import Server
from proofload.target_model import Target
from proofload.workloads.payloads import Payloads, load_payloads

BASELINE, CANARY = 0, 1
SHARE, ROLLBACK, RETIRE, FORCED = "share", "rollback", "retire", "forced"
NEVER_STARTED = "canary-never-started"
WARM_UP = "warm-up"
_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Trip:
    """Why the rollout is to be taken back: the guard's name, and what it saw in words."""

    guard: str
    reason: str


Look = Callable[[Samples], Trip | None]
"""Takes the requests that became final since its last call."""


@dataclass(slots=True)
class Rollout:
    """Both versions in the lab's hands. `up`: the arms that have not been told to end."""

    bench: Bench
    traffic: Traffic
    baseline: Server
    canary: Server
    warm_up: Samples
    """What both versions did while they were warmed."""
    payloads: Payloads | None
    """What is sent, as far as the lab can read it."""
    forced: Sequence[int]
    """Payloads that go to the canary whatever its share."""
    share: float = 0.0
    up: set[int] = field(default_factory=lambda: {BASELINE, CANARY})

    def move(self, canary_share: float, why: str = "") -> int:
        """Give the canary its share; returns the instant from which new requests follow it."""
        asked_ns = monotonic_ns()
        self.traffic.move(canary_share)
        done_ns = monotonic_ns()
        self.share = canary_share
        self.bench.note(SHARE, canary_share=canary_share, asked_ns=asked_ns, done_ns=done_ns, why=why)
        return done_ns

    def watch(self, running: Running, until_ns: int, look: Look | None = None) -> Trip | None:
        """Let the load run until an instant, looking at what comes in. Raises TargetError when the baseline dies."""
        while (left_s := (until_ns - monotonic_ns()) / NS_PER_S) > 0:
            goes_on = running.wait(min(_LOOK_EVERY_S, left_s))
            trip = self._down() or (look(running.taken()) if look is not None else None)
            if trip is not None:
                return trip
            if not goes_on:
                return None
        return None

    def roll_back(self, trip: Trip) -> None:
        """All traffic to the baseline, then SIGTERM to the canary at once, while its last requests are in flight."""
        self.bench.note(ROLLBACK, guard=trip.guard, reason=trip.reason)
        self.move(0.0, why=trip.guard)
        self.retire(CANARY)

    def stops(self, arm: int) -> bool:
        """Whether the lab started this arm, and so may end it."""
        return not (self.baseline if arm == BASELINE else self.canary).target.is_external

    def retire(self, arm: int) -> None:
        """Tell an arm to end (SIGTERM, its drain time); nothing where it has ended, or was not started by the lab."""
        if arm not in self.up:
            return
        self.up.discard(arm)
        self.bench.note(RETIRE, arm=arm, told_ns=monotonic_ns(), stops=self.stops(arm))
        self.bench.stop(arm)

    def _down(self) -> Trip | None:
        if BASELINE in self.up:
            self.baseline.check_alive()
        if CANARY in self.up:
            try:
                self.canary.check_alive()
            except TargetError as exc:
                return Trip("canary-down", exc.what)
        return None


@contextmanager
def deployed(bench: Bench, scenario: RolloutSettings) -> Iterator[Rollout | None]:
    """Both versions up and warmed, the driver open, all traffic on the baseline; None when the canary does not start.

    Raises TargetError when the baseline does not start, DriverError when the driver fails.
    """
    target, second = versions(bench)
    mover = scenario.mover()  # for its errors, before anything is started
    with ExitStack() as stack:
        baseline = bench.start(target, arm=BASELINE, essential=False)
        rollouts: list[Rollout] = []
        stack.callback(_stopped, bench, BASELINE, rollouts)
        try:
            canary = bench.start(second, arm=CANARY, essential=False)
        except TargetError as exc:
            bench.note(NEVER_STARTED, what=exc.what, evidence=exc.evidence)
            yield None
            return
        stack.callback(_stopped, bench, CANARY, rollouts)
        payloads = _payloads(scenario, baseline)
        forced = _forced(scenario, payloads)
        if forced:
            bench.note(FORCED, payloads=forced)
        warm_up = _warm_up(bench, scenario)
        bench.split({BASELINE: 1.0, CANARY: 0.0})
        stage = Stage(
            baseline=baseline,
            canary=canary,
            split=bench.split,
            folder=bench.scratch("driver"),
            watchdog=bench.watchdog,
            salt=str(scenario.seed),
            forcing_header=scenario.forcing_header,
        )
        traffic = stack.enter_context(mover.open(stage))
        route = traffic.route
        bench.note("driver", name=scenario.driver["name"], routed=route.target is not None, arm_header=route.arm_header)
        if route.target is not None:
            bench.aim(BASELINE, _of_either(route.target), arm_header=route.arm_header)
            bench.split({BASELINE: 1.0})  # all there is, those who are forced included: nothing passes the router by
        rollout = Rollout(bench, traffic, baseline, canary, warm_up, payloads, forced)
        rollouts.append(rollout)
        rollout.move(0.0, why="start")
        try:
            yield rollout
        finally:
            if rollout.share and BASELINE in rollout.up:
                rollout.move(0.0, why="end")


def versions(bench: Bench) -> tuple[Target, Target]:
    """Baseline and canary; without a second target the same one is started twice."""
    if bench.target is None:
        raise InputError("a rollout needs a target", remedy="name one with --target")
    return bench.target, bench.canary or bench.target


def _of_either(router: Target) -> Target:
    """Behind a router either version answers, so the baseline's stamp may not be asked of every answer; the guards
    compare stamps themselves."""
    return router.model_copy(update={"response": router.response.model_copy(update={"expected_version": None})})


def stage_ends(start_ns: int, stretches: Sequence[Stretch]) -> list[int]:
    """The instants at which stretches that run back to back end."""
    ends = []
    for stretch in stretches:
        start_ns += round(stretch.duration_s * NS_PER_S)
        ends.append(start_ns)
    return ends


def _warm_up(bench: Bench, scenario: RolloutSettings) -> Samples:
    """Both halves of the load, so that both versions are as warm as each other."""
    bench.split({BASELINE: 0.5, CANARY: 0.5})
    if scenario.settle_in_s <= 0:
        return Samples(np.zeros(0, SAMPLE_DTYPE))
    stretch = Stretch(WARM_UP, scenario.rate_rps, scenario.settle_in_s, seed=scenario.seed + 1, measured=False)
    return bench.samples(bench.load(stretch)[0])


def _payloads(scenario: RolloutSettings, baseline: Server) -> Payloads | None:
    path = baseline.target.payloads_path or scenario.payloads_path
    return None if path is None else load_payloads(path)


def _forced(scenario: RolloutSettings, payloads: Payloads | None) -> list[int]:
    """Which payloads are forced to the canary: they are no part of a comparison by chance."""
    name, value = scenario.forcing_header
    if not name or payloads is None:
        return []
    return [index for index, headers in enumerate(payloads.headers) if _forces(headers, name, value)]


def _forces(headers: Mapping[str, str], name: str, value: str) -> bool:
    return any(key.lower() == name.lower() and held == value for key, held in headers.items())


def _stopped(bench: Bench, arm: int, rollouts: list[Rollout]) -> None:
    """Stop an arm that the rollout has not retired itself."""
    if not rollouts or arm in rollouts[0].up:
        bench.stop(arm)
