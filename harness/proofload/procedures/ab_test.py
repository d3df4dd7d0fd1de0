"""ab-test: is the second version better, worse, or no different by more than a margin? Users stay on their side.

A pilot on the baseline alone shows how much the metric varies, and from it the users needed are worked out before the
experiment begins. Then half of the users get the second version. With a fixed horizon it is looked at once, at the
end; a sequential analysis may be looked at all the time, and ends the experiment when it is settled.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from proofload.clock import NS_PER_S
from proofload.engine.client import Stretch
from proofload.procedures import Bench, Circumstances, Evidence, Findings
from proofload.procedures._ab_test.findings import Found, checks_of, details_of, found_by, headline_of
from proofload.procedures._ab_test.metrics import METRICS, Asked, Design, Questions, Users, asked, seen, shown
from proofload.procedures._rollout.moving import BASELINE, CANARY, Rollout, Trip, deployed
from proofload.procedures._rollout.settings import RolloutSettings
from proofload.procedures._rollout.versions_judging import (
    does_not_serve,
    for_users,
    forced,
    keeps_slo,
    measured,
    stays_up,
)
from proofload.records import SAMPLE_DTYPE, Phase, Samples, Status
from proofload.scenarios import Positive, Scenario, Seconds
from proofload.verdict.ab_test import FEWEST_LOOKED_AT, looked_at_now
from proofload.verdict.experiment import Direction
from proofload.workloads.payloads import load_payloads

STARTS_ITS_TARGETS = True
PILOT, EXPERIMENT = "pilot", "experiment"
_STRETCHES = 40
"""An experiment is cut into about so many stretches of time, of a second at least."""
Metric = Literal["ok_share", "latency_p50_ms", "latency_mean_ms", "score"]


class Settings(RolloutSettings):
    """The keys of ab-test."""

    metric: Metric | Literal["auto"] = "auto"
    """What is compared; "auto": the prediction where it is a number (`score`), else `ok_share`."""
    better: Literal["higher", "lower", "same", "auto"] = "auto"
    """Which values of `metric` are better; "same": any difference is harm."""
    guardrails: Annotated[tuple[Metric, ...], Field(strict=False)] = ("ok_share", "latency_p50_ms")
    """Metrics that must not get worse meanwhile, each by its own margin."""
    margin: Positive | None = None
    """The difference in `metric` that matters, in its unit. None: 0.02 of ok_share, a fifth and 1 ms of a latency, a
    fifth of a standard deviation of a score."""
    mde: Positive | None = None
    """The harm that is to be found with `power`; None: twice the margin."""
    power: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    share: Annotated[float, Field(ge=0.01, le=0.99)] = 0.5
    """The second version's users."""
    analysis: Literal["fixed", "sequential"] = "fixed"
    pilot_s: Seconds = 30.0

    @model_validator(mode="after")
    def _can_be_found(self) -> Settings:
        if self.margin is not None and self.mde is not None and self.mde <= self.margin:
            raise ValueError(f"mde ({self.mde:g}) above margin ({self.margin:g}): only more harm than that is worse")
        return self

    @property
    def stretch_ns(self) -> int:
        return max(NS_PER_S, round(self.duration_s / _STRETCHES * NS_PER_S))


def create() -> AbTest:
    return AbTest()


class AbTest:
    """See `proofload.procedures.Procedure`."""

    def peak_rps(self, scenario: Scenario) -> float:
        return 2.0 * scenario.rate_rps

    def conduct(self, bench: Bench, scenario: Scenario) -> None:
        settings = _own(scenario)
        with deployed(bench, settings) as rollout:
            if rollout is None:
                return
            [pilot] = bench.load(_stretch(PILOT, settings, settings.pilot_s))
            users = _users(rollout, settings)
            leave_out = frozenset(rollout.forced)
            questions = _questions(for_users(bench.samples(pilot), leave_out), users, settings)
            bench.note("experiment-plan", metrics=[_planned(one) for one in questions.asked])
            rollout.move(settings.share, why=EXPERIMENT)
            with bench.loading(_stretch(EXPERIMENT, settings, settings.duration_s)) as running:
                end_ns = running.start_ns + round(settings.duration_s * NS_PER_S)
                watch = _Watch(questions, users, settings, running.start_ns, leave_out)
                trip = rollout.watch(running, end_ns, watch.look if settings.analysis == "sequential" else None)
                if trip is not None and trip.guard == "settled":
                    bench.note("settled", reason=trip.reason)
                    running.cut()
                elif trip is not None:
                    rollout.roll_back(trip)
                    running.cut()

    def judge(self, evidence: Evidence, scenario: Scenario) -> Findings:
        settings = _own(scenario)
        up = stays_up(evidence)
        phases = {phase.name: phase for phase in evidence.phases if phase.name in (PILOT, EXPERIMENT)}
        if set(phases) != {PILOT, EXPERIMENT}:
            nothing = Findings.nothing(evidence)
            return nothing if up.status is not Status.FAIL else Findings((), (up,), (), headline=(up.evidence,))
        around = Circumstances.of(evidence)
        leave_out = forced(evidence)
        parts = {name: for_users(evidence.samples(phase.index), leave_out) for name, phase in phases.items()}
        judged = {
            name: measured(phase, evidence.samples(phase.index), settings, around) for name, phase in phases.items()
        }
        users = Users.of(evidence.users())
        questions = _questions(parts[PILOT], users, settings)
        found = _found(questions, parts[EXPERIMENT], users, settings, phases[EXPERIMENT])
        told = checks_of(found, questions.alpha_fail)
        serving = CANARY if found.keeps_the_second else BASELINE
        served = [(phases[EXPERIMENT], evidence.samples(phases[EXPERIMENT].index))]
        slo = keeps_slo(served, serving, settings, around, alpha_fail=questions.alpha_fail)
        first = keeps_slo(served, BASELINE, settings, around, alpha_fail=questions.alpha_fail)
        checks = (up, *told, *slo)
        return Findings(
            phases=tuple(one.summary for one in judged.values()),
            checks=checks,
            validity=judged[EXPERIMENT].validity,
            client=judged[EXPERIMENT].health,
            headline=(*does_not_serve(first, checks), *headline_of(found, checks)),
            details=details_of(found),
        )


class _Watch:
    """Looks at what has come in, once for each whole stretch of time."""

    def __init__(
        self, questions: Questions, users: Users, settings: Settings, start_ns: int, leave_out: frozenset[int]
    ) -> None:
        self._questions, self._users, self._settings, self._start_ns = questions, users, settings, start_ns
        self._leave_out = leave_out
        self._tables = [np.zeros(0, SAMPLE_DTYPE)]
        self._looked_at = 0

    def look(self, fresh: Samples) -> Trip | None:
        self._tables.append(fresh.table)
        latest = int(fresh.table["intended_ns"].max()) if len(fresh) else 0
        whole = (latest - self._start_ns - round(self._settings.timeout_s * NS_PER_S / 5)) // self._settings.stretch_ns
        if whole <= self._looked_at or whole < FEWEST_LOOKED_AT:
            return None
        self._looked_at = whole
        self._tables = [np.concatenate(self._tables)]
        end_ns = self._start_ns + whole * self._settings.stretch_ns
        table = self._tables[0]
        samples = for_users(Samples(table[table["intended_ns"] < end_ns]), self._leave_out)
        alpha_fail = self._questions.alpha_fail
        rulings = {}
        for one in self._questions.asked:
            part = shown(
                one.metric, samples, self._users, start_ns=self._start_ns, stretch_ns=self._settings.stretch_ns
            )
            rulings[one.metric] = looked_at_now(part, one.question(alpha_fail, self._settings.alpha_pass)).ruling
        worse = [metric for metric, ruling in rulings.items() if ruling.status is Status.FAIL]
        if worse:
            return Trip("settled", f"worse in {', '.join(worse)}")
        if rulings and not self._questions.unseen and all(ruling.status is Status.PASS for ruling in rulings.values()):
            return Trip("settled", "no metric is worse by more than its margin")
        return None


def _found(questions: Questions, experiment: Samples, users: Users, settings: Settings, phase: Phase) -> Found:
    return found_by(
        questions,
        experiment,
        users,
        start_ns=phase.start_ns,
        stretch_ns=settings.stretch_ns,
        share=settings.share,
        alpha_pass=settings.alpha_pass,
        sequential=settings.analysis == "sequential",
    )


def _questions(pilot: Samples, users: Users, settings: Settings) -> Questions:
    """The metric in question first, then the guardrails. All checks share the error rate of a fail: a metric's each,
    the split's, the assignment's where there are users, and that of [slo]."""
    primary = settings.metric
    if primary == "auto":
        primary = "score" if len(seen("score", pilot)[0]) > 1 else "ok_share"
    names = tuple(dict.fromkeys([primary, *settings.guardrails]))
    alpha_fail = settings.alpha_fail / (len(names) + 2 + bool(users.count))
    design = Design(
        share=settings.share,
        requests=settings.rate_rps * settings.duration_s,
        alpha_fail=alpha_fail,
        alpha_pass=settings.alpha_pass,
        power=settings.power,
    )
    better: Direction | None = None if settings.better == "auto" else settings.better
    found = [
        asked(
            name, pilot, users, design,
            margin=settings.margin if name == primary else None,
            mde=settings.mde if name == primary else None,
            direction=better if name == primary else None,
        )
        for name in names
    ]  # fmt: skip
    return Questions(names, tuple(one for one in found if one is not None), alpha_fail)


def _planned(one: Asked) -> dict[str, Any]:
    return {"metric": one.metric, "direction": one.direction, **asdict(one.plan)}


def _users(rollout: Rollout, settings: Settings) -> Users:
    path = rollout.baseline.target.payloads_path or settings.payloads_path
    if path is None:
        return Users.of(None)
    numbers: dict[str, int] = {}
    named = [-1 if user is None else numbers.setdefault(user, len(numbers)) for user in load_payloads(path).users]
    return Users.of(np.array(named, np.int32) if numbers else None)


def _stretch(name: str, settings: Settings, duration_s: float) -> Stretch:
    seed = settings.seed + (2 if name == PILOT else 0)
    return Stretch(
        name,
        settings.rate_rps,
        duration_s,
        arrival=settings.arrival,
        seed=seed,
        measured=name == EXPERIMENT,
        scores=True,
    )


def _own(scenario: Scenario) -> Settings:
    assert isinstance(scenario, Settings)
    return scenario


assert set(METRICS) == set(Metric.__args__)  # type: ignore[attr-defined]  # the arguments of a Literal
