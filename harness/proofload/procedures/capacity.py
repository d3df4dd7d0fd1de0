"""capacity: the highest offered rate that still meets the SLO: doubled, bisected, then confirmed.

Each step is a phase of its own, and starts when every request of the one before is final. The steps only
search; the verdict is that of the confirmation run, at the verdict's error rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from proofload.analysis.capacity import CapacitySearch, Step
from proofload.analysis.percentiles import LEVEL
from proofload.analysis.rule import requires
from proofload.engine.client import Stretch
from proofload.procedures import Bench, Circumstances, Evidence, Findings
from proofload.procedures._measured_phase import MeasuredPhase, measure
from proofload.procedures._pricing import priced
from proofload.records import Capacity as CapacityRecord
from proofload.records import Check, Interval, Phase, Samples, Status
from proofload.scenarios import Positive, Scenario
from proofload.verdict.codes import LATE_CLIENT

_REST_S = 0.5
"""Between steps, so that what a server still computes for callers who left does not weigh on the next."""
_FEWEST = 20
"""Requests that a step must hold to show that a rate breaks the SLO."""
_RECOVERY_RPS = 50.0
_RECOVERY_S = 1.0
_RECOVERY_TRIES = 15


_MARGIN = 1.4
"""Requests of a confirmation over the fewest that could pass: some are left out as warm-up, some arrive together."""


class Settings(Scenario):
    """The keys of capacity. Rates in requests per second, times in seconds."""

    start_rps: Positive = 50.0
    max_rps: Positive = 20_000.0
    step_s: Positive = 10.0
    confirm_s: Positive = 60.0
    resolution: Annotated[float, Field(gt=0, le=1)] = 0.05
    """The search ends when the rates that held and broke are this near, relatively."""
    search_s: Positive = 600.0
    """Time for searching; what is found by then is confirmed."""
    confirmations: Annotated[int, Field(gt=0, le=10)] = 3
    caution: Annotated[int, Field(ge=0, le=3)] = 0
    """How many resolutions below the search's answer confirming begins: 1 where search steps are short."""


def create() -> Capacity:
    return Capacity()


class Capacity:
    """See `proofload.procedures.Procedure`."""

    def peak_rps(self, scenario: Scenario) -> float:
        return _own(scenario).max_rps

    def conduct(self, bench: Bench, scenario: Scenario) -> None:
        settings = _own(scenario)
        search = _search(settings)
        number = 0
        searched_s = 0.0
        while (step := search.next_step(searching=searched_s < settings.search_s)) is not None:
            number += 1
            searched_s += settings.step_s + _REST_S
            [phase] = bench.load(_stretch(step, settings, number))
            bench.note("capacity-step", phase=phase.index, purpose=step.purpose, alpha_share=step.alpha_share)
            shown = _shown(phase, bench.samples(phase), settings, bench.circumstances(), step.alpha_share)
            _record(search, step, shown, settings)
            bench.pause(_REST_S)
            if not _met_as_observed(shown, settings) and step.rate_rps > _recovery_rps(settings):
                searched_s += _recover(bench, settings)

    def judge(self, evidence: Evidence, scenario: Scenario) -> Findings:
        settings = _own(scenario)
        around = Circumstances.of(evidence)
        orders = {event.detail["phase"]: event.detail for event in evidence.events if event.kind == "capacity-step"}
        search = _search(settings)
        shown: list[MeasuredPhase] = []
        for phase in evidence.phases:
            order = orders.get(phase.index)
            share = order["alpha_share"] if order else 1.0
            one = _shown(phase, evidence.samples(phase.index), settings, around, share)
            shown.append(one)
            if order is not None:  # a recovery, or a step that was cut off, shows nothing of the capacity
                _record(search, Step(phase.rate_rps, order["purpose"], share), one, settings)
        if not shown:
            return Findings.nothing(evidence)
        answer = search.answer()
        main = _telling(shown)
        return Findings(
            phases=tuple(one.summary for one in shown),
            checks=_checks(answer, settings, main),
            validity=main.validity,
            client=main.health,
            capacity=answer,
            cost=None
            if answer.rate_rps is None
            else priced(evidence, settings, main, answer.rate_rps, answer.interval, at_capacity=True),
            warmup={"excluded": main.summary.excluded},
        )


def _recover(bench: Bench, settings: Settings) -> float:
    """After a rate it did not hold, a target may still be working it off: wait until a light load goes well again.

    Returns the seconds of load that took.
    """
    for attempt in range(1, _RECOVERY_TRIES + 1):
        stretch = Stretch(
            f"recovery {attempt}", _recovery_rps(settings), _RECOVERY_S, seed=settings.seed, measured=False
        )
        [phase] = bench.load(stretch)
        if _met_as_observed(_shown(phase, bench.samples(phase), settings, bench.circumstances(), 1.0), settings):
            return attempt * _RECOVERY_S
        bench.pause(_RECOVERY_S)
    bench.note("not-recovered", tries=_RECOVERY_TRIES)
    return _RECOVERY_TRIES * _RECOVERY_S


def _recovery_rps(settings: Settings) -> float:
    return min(_RECOVERY_RPS, settings.start_rps)


def _own(scenario: Scenario) -> Settings:
    assert isinstance(scenario, Settings)
    return scenario


def _search(settings: Settings) -> CapacitySearch:
    return CapacitySearch(
        min(settings.start_rps, settings.max_rps),
        settings.max_rps,
        resolution=settings.resolution,
        confirmations=settings.confirmations,
        caution=settings.caution,
        lowest_rps=_FEWEST / settings.step_s,
    )


def _stretch(step: Step, settings: Settings, number: int) -> Stretch:
    confirm = step.purpose == "confirm"
    return Stretch(
        name=f"{step.purpose} {number}: {step.rate_rps:g}/s",
        rate_rps=step.rate_rps,
        duration_s=_confirm_s(step, settings) if confirm else settings.step_s,
        arrival=settings.arrival,
        shape=settings.shape,
        seed=settings.seed + number,
        measured=confirm,
    )


def _confirm_s(step: Step, settings: Settings) -> float:
    """As long as asked for, and long enough that a flawless run can pass at the verdict's error rate."""
    confidence = 1.0 - settings.alpha_pass * step.alpha_share
    needed = [requires(0, LEVEL[name].q, confidence) for name in settings.slo.limits()]
    if settings.slo.ok_share < 1.0:
        needed.append(requires(0, settings.slo.ok_share, confidence))
    return max(settings.confirm_s * step.length, _MARGIN * max(needed, default=0) / step.rate_rps)


def _shown(
    phase: Phase, samples: Samples, settings: Settings, around: Circumstances, alpha_share: float
) -> MeasuredPhase:
    return measure(phase, samples, settings, around, find_warmup=phase.measured, alpha_share=alpha_share)


def _record(search: CapacitySearch, step: Step, shown: MeasuredPhase, settings: Settings) -> None:
    summary = shown.summary
    total = sum(summary.outcomes.values())
    quantiles = summary.latency.quantiles
    met = _met_as_observed(shown, settings)
    search.record(
        step,
        _status(shown, met=met, searching=step.purpose == "search"),
        meets=met,
        p50_ms=quantiles["p50"].value,
        p99_ms=quantiles["p99"].value,
        goodput_rps=summary.goodput_rps,
        ok_share=summary.outcomes["ok"] / total if total else None,
    )


def _status(shown: MeasuredPhase, *, met: bool, searching: bool) -> Status:
    doubts = {item.code for item in shown.validity if not item.ok}
    if searching and met and doubts and doubts <= LATE_CLIENT:
        return Status.INCONCLUSIVE  # held in spite of the client: good enough for choosing where to look next
    if doubts == {"broker-backlog"} and not met:
        return Status.FAIL  # the target fell behind by more than its broker keeps: it does not hold this rate
    if doubts:
        return Status.INVALID
    states = {check.status for check in shown.checks}
    if Status.FAIL in states:
        return Status.FAIL
    return Status.PASS if states == {Status.PASS} else Status.INCONCLUSIVE


def _met_as_observed(shown: MeasuredPhase, settings: Settings) -> bool:
    """Was the SLO met, as far as was seen? Enough to choose where to look next, not to say so."""
    outcomes = shown.summary.outcomes
    total = sum(outcomes.values())
    over = [name for name, limit in settings.slo.limits().items() if not shown.observed_ms.get(name, 0.0) <= limit]
    return total > 0 and not over and not outcomes["wrong"] and outcomes["ok"] >= settings.slo.ok_share * total


def _telling(shown: Sequence[MeasuredPhase]) -> MeasuredPhase:
    """The phase the verdict rests on: the last confirmation, or for want of one the last step."""
    return next((one for one in reversed(shown) if one.summary.measured), shown[-1])


def _checks(answer: CapacityRecord, settings: Settings, main: MeasuredPhase) -> tuple[Check, ...]:
    """A capacity run passes when a rate was confirmed; what its confirmation showed stands beside it."""
    found = Check(
        name="capacity",
        status=Status.PASS if answer.confirmed else Status.INCONCLUSIVE,
        observed=answer.rate_rps,
        limit=None,
        unit="requests/s",
        interval=answer.interval,
        evidence=_told(answer),
        settle="" if answer.confirmed else f"longer confirmations: --set confirm_s={settings.confirm_s * 3:g}",
    )
    if answer.rate_rps is None:
        found = _none_found(answer, settings)
    return (found, *main.checks) if answer.confirmed or found.status is Status.FAIL else (found,)


def _none_found(answer: CapacityRecord, settings: Settings) -> Check:
    """Not even the lowest rate: a failure only if that one was shown to break the SLO."""
    lowest = min((float(step["rate_rps"]) for step in answer.steps), default=settings.start_rps)
    broke = any(step["status"] == "fail" and step["rate_rps"] <= lowest for step in answer.steps)
    return Check(
        name="capacity",
        status=Status.FAIL if broke else Status.INCONCLUSIVE,
        observed=None,
        limit=None,
        unit="requests/s",
        interval=Interval(None, lowest if broke else None),
        evidence=f"no rate that was tried met the SLO, down to {lowest:g} requests/s"
        if broke
        else f"no rate was confirmed in {len(answer.steps)} steps, down to {lowest:g} requests/s",
        settle="a laxer SLO" if broke else "a quieter machine, or longer confirmations: --set confirm_s=…",
    )


def _told(answer: CapacityRecord) -> str:
    tried = f"{len(answer.steps)} steps"
    if answer.confirmed:
        return f"confirmed by a run of its own after {tried}"
    return f"{tried}; no confirmation run passed" + (
        f"; the {answer.censored} was the limit" if answer.censored else ""
    )
