"""From the run folders of a comparison to what it found. Nothing is measured here; the clock is not looked at."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from proofload.analysis.pairs import estimate
from proofload.comparing.asked import PRICED, Asked
from proofload.comparing.found import (
    SERVICE,
    Beside,
    Comparison,
    Conservation,
    Level,
    Once,
    Option,
    Price,
    Requirement,
)
from proofload.comparing.lifetimes import Fate, Made, made
from proofload.comparing.pairing import VALUES, Pairs, compared
from proofload.comparing.plan import planned
from proofload.comparing.pricing import at_capacity, at_offered_rate
from proofload.comparing.readings import Reading
from proofload.comparing.requirements import budgets_kept, limits_kept
from proofload.comparing.running import plan_in
from proofload.comparing.unmeasured import not_measured
from proofload.records import Interval, Result
from proofload.report.numbers import plain
from proofload.report.sentences import headline
from proofload.report.text import printable
from proofload.scenarios import Scenario
from proofload.verdict.comparison import Standing, by_verdict, overall

OWN_ALPHA = 0.01
"""Of the intervals of an option's own values, which decide nothing: 99 %, as everywhere in reports."""


@dataclass(frozen=True, slots=True)
class _Evidence:
    """All that lies in the folder."""

    asked: Asked
    folder: Path
    made: tuple[Made, ...]
    readings: Mapping[tuple[int, int], tuple[Reading, ...]]
    """By (situation, option), in order of pairs."""
    results: Mapping[tuple[int, int], Result]
    """By (situation, option): of what was made once, and the first lifetime of what was made in pairs."""

    @property
    def paired(self) -> list[int]:
        return [place for place, one in enumerate(self.asked.situations) if one.paired]

    def own(self, option: int) -> tuple[Reading, ...]:
        """Of the load that stands first: what an option's own values are of."""
        return self.readings.get((self.paired[0], option), ()) if self.paired else ()

    @property
    def load(self) -> Scenario | None:
        return self.asked.situations[self.paired[0]].scenario if self.paired else None


def judged(asked: Asked, folder: Path) -> Comparison:
    """The comparison in a folder that was begun for it, complete or not."""
    plan = plan_in(folder)
    evidence = _evidence(asked, folder)
    once = tuple(_once(evidence))
    besides = tuple(_besides(evidence))
    options = tuple(_option(evidence, place, besides) for place in range(len(asked.labels)))
    standings = [one.standing for one in options if one.standing is not None]
    return Comparison(
        standing=overall(standings),
        options=options,
        ranking=tuple(_ranking(evidence)),
        besides=besides,
        once=once,
        readings=tuple(
            (asked.labels[option], one) for (_, option), found in sorted(evidence.readings.items()) for one in found
        ),
        conservation=_conservation(evidence),
        not_measured=tuple(
            not_measured(asked, [one for found in evidence.readings.values() for one in found], besides, once)
        ),
        settings=asked.settings.model_dump(mode="json"),
        scenarios=tuple(one.scenario.name for one in asked.situations),
        requires=tuple(_requires(evidence)),
        p99_limit_ms=None if evidence.load is None else evidence.load.slo.p99_ms,
        command=str(plan["command"]),
        started_at=str(plan["started_at"]),
        folder=str(folder),
        environment=next((found.environment for found in evidence.results.values()), {}),
    )


def _evidence(asked: Asked, folder: Path) -> _Evidence:
    lifetimes = tuple(made(folder, lifetime) for lifetime in planned(asked))
    readings: dict[tuple[int, int], list[Reading]] = {}
    results: dict[tuple[int, int], Result] = {}
    for one in sorted(lifetimes, key=lambda each: each.lifetime.pair or 0):
        place = one.lifetime.situation, one.lifetime.option
        shown = one.valid or next((each for each in reversed(one.attempts) if each.fate is Fate.INVALID), None)
        if shown is None or shown.result is None:
            continue
        if one.lifetime.pair is None or one.valid is not None:
            results.setdefault(place, shown.result)
        if shown.reading is not None:
            readings.setdefault(place, []).append(shown.reading)
    return _Evidence(asked, folder, lifetimes, {key: tuple(rows) for key, rows in readings.items()}, results)


def _besides(evidence: _Evidence) -> Iterator[Beside]:
    """Every candidate beside the baseline, situation by situation."""
    asked, settings = evidence.asked, evidence.asked.settings
    shares = max(1, len(VALUES) * (len(asked.labels) - 1) * len(evidence.paired))
    for place, situation in enumerate(asked.situations):
        for option in range(1, len(asked.labels)):
            who = situation.scenario.name, asked.labels[option], asked.labels[0]
            if situation.paired:
                baseline, candidate = (evidence.readings.get((place, side), ()) for side in (0, option))
                pairs = Pairs.of(baseline, candidate, planned=settings.pairs)
                yield Beside(*who, metrics=compared(pairs, settings, shares=shares))
            else:
                ours, theirs = (evidence.results.get((place, side)) for side in (0, option))
                ends = by_verdict(None if ours is None else ours.status, None if theirs is None else theirs.status)
                yield Beside(*who, verdict=ends.standing, because=ends.because, asked_for=situation.asked_for)


def _standing(label: str, besides: Sequence[Beside]) -> Standing:
    """A candidate's, over all situations. What was added for a requirement's sake is waited for by none, and counts
    only where it is worse."""
    own = [one for one in besides if one.candidate == label]
    told = [(metric.standing, metric.required) for one in own for metric in one.metrics]
    told += [(one.verdict, one.asked_for) for one in own if one.verdict is not None]
    return overall([one for one, required in told if required], [one for one, required in told if not required])


def _option(evidence: _Evidence, place: int, besides: Sequence[Beside]) -> Option:
    asked, own = evidence.asked, evidence.own(place)
    label = asked.labels[place]
    price, peak_rps = _price(evidence, place)
    due = sum(one.due for one in own)
    shown = next((found.target for (_, option), found in evidence.results.items() if option == place), {})
    return Option(
        label=label,
        target=shown,
        standing=None if place == 0 else _standing(label, besides),
        rate_rps=sum(one.offered_rps for one in own) / len(own) if own else None,
        service_p50=_level([one.service_p50 for one in own]),
        latency_p50=_percentile(own, "p50"),
        latency_p99=_percentile(own, "p99"),
        answers=sum(one.answers for one in own),
        ok_share=sum(one.ok for one in own) / due if due else None,
        requirements=(*_limits(evidence, place), *budgets_kept(price, asked.settings, peak_rps)),
        price=price,
    )


def _limits(evidence: _Evidence, option: int) -> Iterator[Requirement]:
    """Those of every load in pairs."""
    for place in evidence.paired:
        scenario, own = evidence.asked.situations[place].scenario, evidence.readings.get((place, option), ())
        levels = {name: _percentile(own, name) for name in scenario.slo.limits()}
        for one in limits_kept(own, scenario, levels):
            yield replace(one, name=f"{_where(evidence, scenario)}{one.name}")


def _where(evidence: _Evidence, scenario: Scenario) -> str:
    """Whose limit it is, where there are several loads."""
    return f"{printable(scenario.name, 60)}: " if len(evidence.paired) > 1 else ""


def _percentile(readings: Sequence[Reading], name: str) -> Level | None:
    return _level([one.latency.get(name) for one in readings])


def _price(evidence: _Evidence, option: int) -> tuple[Price | None, float | None]:
    """At capacity where that was measured, for every option alike; and the peak that was required."""
    for place, situation in enumerate(evidence.asked.situations):
        if situation.scenario.procedure == PRICED:
            result = evidence.results.get((place, option))
            return None if result is None else at_capacity(result, situation.scenario), situation.scenario.cost.peak_rps
    first = evidence.results.get((evidence.paired[0], option)) if evidence.paired else None
    return None if first is None else at_offered_rate(first, evidence.own(option)), None


def _level(values: Sequence[float | None]) -> Level | None:
    """None where a lifetime brought no value."""
    there = [value for value in values if value]
    found = estimate([math.log(value) for value in there], alpha=OWN_ALPHA) if len(there) == len(values) else None
    if found is None:
        return None
    return Level(math.exp(found.value), Interval(math.exp(found.low), math.exp(found.high)), found.n)


def _once(evidence: _Evidence) -> Iterator[Once]:
    """What each option did in each situation that it was put into once."""
    for one in evidence.made:
        place, option = one.lifetime.situation, one.lifetime.option
        situation = evidence.asked.situations[place]
        if situation.paired:
            continue
        result = evidence.results.get((place, option))
        yield Once(
            scenario=situation.scenario.name,
            procedure=situation.scenario.procedure,
            option=evidence.asked.labels[option],
            status=None if result is None else result.status,
            said=() if result is None else headline(result),
            folder=one.attempts[-1].path.name if one.attempts else "",
            canary="" if situation.canary is None else situation.canary.name,
            onto_itself=situation.onto_itself(option),
        )


def _ranking(evidence: _Evidence) -> Iterator[tuple[str, bool]]:
    """By median service time, fastest first; whether the pairs tell each from the one before."""
    value = VALUES[SERVICE.key]
    measured = []
    for place in range(len(evidence.asked.labels)):
        own = {one.pair: seen for one in evidence.own(place) if (seen := value(one))}
        if own:
            measured.append((math.fsum(map(math.log, own.values())) / len(own), place, own))
    before: dict[int, float] | None = None
    tests = max(1, len(measured) - 1)
    for _, place, own in sorted(measured, key=lambda one: one[:2]):
        logs = [] if before is None else [math.log(own[pair] / before[pair]) for pair in own if pair in before]
        apart = estimate(logs, alpha=evidence.asked.settings.alpha / tests)
        yield evidence.asked.labels[place], apart is not None and apart.low > 0.0
        before = own


def _conservation(evidence: _Evidence) -> Conservation:
    attempts = [attempt for one in evidence.made for attempt in one.attempts]
    counted = {fate: sum(one.fate is fate for one in attempts) for fate in Fate}
    dropped = 0
    for place in evidence.paired:
        hosts: dict[int, set[str]] = {}
        for option in range(len(evidence.asked.labels)):
            for one in evidence.readings.get((place, option), ()):
                hosts.setdefault(one.pair, set()).add(one.host)
        dropped += sum(len(seen) > 1 for seen in hosts.values())
    return Conservation(
        planned=len(evidence.made),
        valid=sum(one.valid is not None for one in evidence.made),
        attempts=len(attempts),
        invalid=counted[Fate.INVALID],
        interrupted=counted[Fate.INTERRUPTED],
        not_started=counted[Fate.NOT_STARTED],
        unusable=tuple(f"{one.path.name}: {one.why}" for one in attempts if one.fate is Fate.UNUSABLE),
        lost=tuple(one.lifetime.name for one in evidence.made if one.valid is None),
        pairs_dropped=dropped,
    )


def _requires(evidence: _Evidence) -> Iterator[str]:
    settings = evidence.asked.settings
    for scenario in (evidence.asked.situations[place].scenario for place in evidence.paired):
        limits = [f"{name.replace('_', '.')} ≤ {limit:g} ms" for name, limit in scenario.slo.limits().items()]
        every = ", ".join([*limits, f"≥ {100 * scenario.slo.ok_share:g} % ok"])
        yield f"{_where(evidence, scenario)}{every} at {scenario.rate_rps:g}/s"
    for situation in evidence.asked.situations:
        if situation.scenario.procedure == PRICED and situation.scenario.cost.peak_rps:
            cost = situation.scenario.cost
            spare = f" and {cost.spare} to spare" if cost.spare else ""
            yield f"a peak of {plain(cost.peak_rps)}/s at {100 * cost.utilisation:g} % utilisation{spare}"
    if settings.budget_per_month:
        yield f"at most {plain(settings.budget_per_month)} a month"
    if settings.budget_per_million:
        yield f"at most {plain(settings.budget_per_million)} per million correct predictions"
