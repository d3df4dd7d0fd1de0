"""Restarts judged: which of them were late, failing or slow, and what that amounts to, check by check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from proofload.analysis.openings import WarmLevel, is_one_stall, opening, warm_level, windows
from proofload.analysis.restarts import restart_quantile
from proofload.analysis.summary import due_since
from proofload.clock import NS_PER_S
from proofload.procedures import Evidence
from proofload.procedures._cold_start.lives import GUARDS
from proofload.procedures._cold_start.reading import ColdRun, Growth, Life
from proofload.procedures._cold_start.requests import requests_of
from proofload.records import Check, Interval, Status
from proofload.report.numbers import short
from proofload.verdict.cold import Demand, Harm, RestartRuling, decide, exceeds, joined_well
from proofload.verdict.cold_causes import SlowOpening, Taken, Why, why_slow
from proofload.verdict.cold_openings import Opening, cannot_compare, failing_harm, opened, slow_harm

if TYPE_CHECKING:
    from proofload.procedures._cold_start.settings import Settings

CHANCES = 3
"""A limit is looked at over all restarts and condition by condition; two of those share the other two thirds."""


LATEST_LOOK_S = 1.0
"""A restart whose first request came later after ready says nothing of false readiness."""
HEAD_BYTES = 1024
"""About what a request brings besides its body."""
HAND_BYTES = 64 * 1024
"""What a thread or a connection may take (20 KiB were seen)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was made of each life."""

    warm: WarmLevel | None
    slow_ms: float | None
    """An answer that takes longer is a cold one."""
    openings: Mapping[int, Opening]
    """By number of the restart; one without requests has none."""
    why: Why | None
    """Of slow openings, where there are any."""

    @property
    def failing(self) -> frozenset[int]:
        return frozenset(number for number, one in self.openings.items() if one.failing)

    @property
    def slow(self) -> frozenset[int]:
        return frozenset(number for number, one in self.openings.items() if one.slow)

    @property
    def worst_ms(self) -> list[float]:
        """The slowest first answer of each restart that was answered in its opening."""
        return [one.window.worst_ms for one in self.openings.values() if one.window.worst_ms]


def look_at(evidence: Evidence, run: ColdRun, scenario: Settings, warm_from_ns: int) -> Seen:
    """`warm_from_ns`: the steady stretch counts from this instant on."""
    length_ns = round(scenario.opening_s * NS_PER_S)
    warm = None
    if run.steady is not None:
        steady = requests_of(due_since(evidence.samples(run.steady.index), warm_from_ns))
        warm = warm_level(windows(steady, length_ns))
    lives = [life for life in run.lives if len(life.requests)]
    if warm is None:
        plain = {life.number: Opening(opening(life.requests, length_ns), failing=False, slow=None) for life in lives}
        return Seen(None, None, plain, None)
    openings = {life.number: opened(life.requests, length_ns, warm, scenario.penalty_ms) for life in lives}
    slow_ms = round(warm.worst_ms + scenario.penalty_ms, 1)
    rested = None
    if run.rested is not None and len(run.rested.requests):
        rested = opened(run.rested.requests, length_ns, warm, scenario.penalty_ms).slow
    payload_bytes = float(evidence.run["payloads"]["mean_bytes"])
    patterns = [_pattern(life, slow_ms, payload_bytes) for life in lives if openings[life.number].slow]
    return Seen(warm, slow_ms, openings, why_slow(patterns, rested) if patterns else None)


def checks_of(run: ColdRun, seen: Seen, scenario: Settings) -> tuple[Check, ...]:
    demand = Demand(
        scenario.quantile, scenario.tolerated_share, scenario.alpha_fail / GUARDS, scenario.restart_confidence
    )
    found = [
        *_come_up(run, demand),
        _time_to_ready(run, scenario, demand),
        _false_ready(run, seen, scenario, demand),
        _first_requests(seen, scenario, demand),
    ]
    if run.joining is not None:
        found.append(_scale_out(run, seen, scenario, demand))
    elif scenario.joining_s:
        found.append(_nobody_joined(run, scenario))
    return tuple(found)


def _pattern(life: Life, slow_ms: float, payload_bytes: float) -> SlowOpening:
    requests_bytes = round(len(life.requests) * (payload_bytes + HEAD_BYTES))
    return SlowOpening(is_one_stall(life.requests, slow_ms), tuple(_taken(one, requests_bytes) for one in life.growth))


def _taken(one: Growth, requests_bytes: int) -> Taken:
    """Besides what requests, connections and threads take."""
    memory = None if one.memory_bytes is None else one.memory_bytes - HAND_BYTES * max(0, one.hands or 0)
    return Taken(memory, one.before_bytes, None if one.read_bytes is None else one.read_bytes - requests_bytes)


def _come_up(run: ColdRun, demand: Demand) -> list[Check]:
    died = [life for life in run.lives if life.outcome == "died"]
    if not died:
        return []
    ruling = decide(Harm(len(died), len(run.lives)), demand)
    told = (
        f"{len(died)} of {len(run.lives)} restarts ended before they were ready. {_share_told(ruling)} {died[0].what}"
    )
    return [
        _check(
            "restarts_come_up",
            ruling,
            observed=len(died) / len(run.lives),
            limit=demand.tolerated,
            unit="share",
            interval=ruling.interval,
            told=told.strip(),
            cause="dies-at-start",
        )
    ]


def _time_to_ready(run: ColdRun, scenario: Settings, demand: Demand) -> Check:
    limit = scenario.ready_limit_s
    times = [life.ready_s for life in run.lives]
    late = [life for life in run.lives if life.ready_s > limit]
    ruling = _over_conditions(run.lives, {life.number for life in late}, demand)
    middle = restart_quantile(times, 0.5, demand.confidence)
    told = f"{len(late)} of {len(times)} restarts took longer than {limit:g} s from spawn to ready"
    never = [life for life in late if life.outcome != "ready"]
    died = sum(life.outcome == "died" for life in late)
    if never:
        told += f"; {len(never)} were given up after {max(life.waited_s for life in never):.1f} s"
    finite = sorted(time for time in times if np.isfinite(time))
    if finite:
        told += (
            f"; the others took {short(finite[0])} to {short(finite[-1])} s"
            if never
            else (f"; they took {short(finite[0])} to {short(finite[-1])} s")
        )
    return _check(
        "time_to_ready",
        ruling,
        observed=middle.value if middle.value is not None else (float(np.median(finite)) if finite else None),
        limit=limit,
        unit="s",
        interval=Interval(middle.low, middle.high),
        told=f"{told}. {_share_told(ruling)}",
        cause="dies-at-start" if 2 * died > len(late) else "slow-load",
    )


def _over_conditions(lives: Sequence[Life], hits: set[int], demand: Demand) -> RestartRuling:
    """Over all restarts; a single condition can fail it too."""
    pooled = decide(Harm(len(hits), len(lives)), demand)
    if pooled.status is Status.FAIL:
        return pooled
    strict = replace(demand, alpha=demand.alpha / CHANCES)
    for condition in sorted({life.condition for life in lives}):
        own = [life for life in lives if life.condition == condition]
        if exceeds(Harm(sum(life.number in hits for life in own), len(own)), strict):
            return RestartRuling(Status.FAIL, pooled.interval)
    return pooled


def _false_ready(run: ColdRun, seen: Seen, scenario: Settings, demand: Demand) -> Check:
    in_time = {life.number for life in run.lives if (life.since_ready_s("first_request") or 0.0) <= LATEST_LOOK_S}
    looked_at = [one for number, one in seen.openings.items() if number in in_time]
    n, hits = len(looked_at), sum(one.failing for one in looked_at)
    ruling = decide(failing_harm(looked_at, seen.warm), demand)
    failing = [life for life in run.lives if life.number in seen.failing]
    kinds: Counter[str] = Counter()
    for life in failing:
        kinds.update(life.failures)
    told = f"in {hits} of {n} restarts requests failed after it had said ready"
    if failing:
        told += f" ({', '.join(f'{count:,} {kind}' for kind, count in kinds.most_common(3))})"
        right = [life.since_ready_s("first_correct") for life in failing]
        seen_right = sorted(one for one in right if one is not None)
        told += (
            f"; its first correct answer came {short(float(np.median(seen_right)))} s after it (median)"
            if seen_right
            else "; no correct answer came"
        )
    if seen.why is not None and seen.why.cause == "false-ready":
        return _check(
            "false_ready",
            decide(slow_harm(list(seen.openings.values()), seen.warm, scenario.penalty_ms), demand),
            observed=len(seen.slow) / max(1, n),
            limit=demand.tolerated,
            unit="share",
            interval=ruling.interval,
            told=f"in {len(seen.slow)} of {n} restarts the first answers were slow; {seen.why.told}",
            cause="false-ready",
        )
    return _check(
        "false_ready",
        ruling,
        observed=hits / n if n else None,
        limit=demand.tolerated,
        unit="share",
        interval=ruling.interval,
        told=f"{told}. {_share_told(ruling)}",
        cause="false-ready",
    )


def _first_requests(seen: Seen, scenario: Settings, demand: Demand) -> Check:
    n = len(seen.openings)
    ruling = decide(slow_harm(list(seen.openings.values()), seen.warm, scenario.penalty_ms), demand)
    worst = seen.worst_ms
    hidden = "" if seen.warm is None else cannot_compare(list(seen.openings.values()), seen.warm, scenario.penalty_ms)
    if hidden and ruling.status is Status.PASS:
        ruling = RestartRuling(Status.INCONCLUSIVE, ruling.interval, f"a calmer host, or a longer steady_s: {hidden}")
    middle = restart_quantile(worst, 0.5, demand.confidence) if worst else None
    told = f"in {len(seen.slow)} of {n} restarts the first {scenario.opening_s:g} s were slower than permitted"
    if seen.warm is not None and worst:
        told += (
            f" (slowest answer: {short(float(np.median(worst)))} ms in the median restart, "
            f"{short(seen.warm.worst_ms)} ms when warm; {scenario.penalty_ms:g} ms more may be)"
        )
    if seen.why is not None:
        told += f"; {seen.why.told}"
    return _check(
        "first_requests",
        ruling,
        observed=None if not worst else float(np.median(worst)),
        limit=seen.slow_ms,
        unit="ms",
        interval=Interval(None, None) if middle is None else Interval(middle.low, middle.high),
        told=f"{told}. {_share_told(ruling)}",
        cause="" if seen.why is None else seen.why.cause,
    )


def _nobody_joined(run: ColdRun, scenario: Settings) -> Check:
    if run.join_impossible:
        why = f"no second instance could join: {run.join_impossible}"
        settle = "a target whose url has {port}; or leave it out: --set joining_s=0"
    else:
        why = "no second instance joined, because no first one was up by then"
        settle = "a restart that comes up in time, and a run that is not cut short"
    unknown = Interval(None, None)
    return Check("scale_out", Status.INCONCLUSIVE, None, scenario.slo.ok_share, "share", unknown, why, settle)


def _scale_out(run: ColdRun, seen: Seen, scenario: Settings, demand: Demand) -> Check:
    joining = run.joining
    assert joining is not None  # the only caller asked
    if not joining.joined_ns:
        why = joining.problem or "the run ended before the second instance was up"
        status = Status.FAIL if joining.died else Status.INCONCLUSIVE
        return Check(
            "scale_out", status, None, scenario.slo.ok_share, "share", Interval(None, None), why,
            settle="" if joining.died else "a second instance that comes up in time",
            cause="scale-out-errors" if joining.died else "",
        )  # fmt: skip
    requests = requests_of(joining.samples)
    last_ns = int(requests.due_ns[-1]) if len(requests) else joining.starting_ns
    since = requests.between(joining.starting_ns, last_ns + 1)
    bad = int(np.count_nonzero(since.bad))
    ruling = joined_well(since.bad, scenario.slo.ok_share, alpha_pass=scenario.alpha_pass, alpha_fail=demand.alpha)
    newcomer = requests_of(joining.samples, arm=1)
    of_new = int(np.count_nonzero(newcomer.bad))
    told = (
        f"{bad:,} of {len(since):,} requests failed from the start of the second instance on, {of_new:,} of them on it"
    )
    share = ruling.interval
    return Check(
        "scale_out",
        ruling.status,
        None if ruling.share is None else 1.0 - ruling.share,
        scenario.slo.ok_share,
        "share",
        Interval(None if share.high is None else 1.0 - share.high, None if share.low is None else 1.0 - share.low),
        f"{told}.",
        settle="" if ruling.status is not Status.INCONCLUSIVE else f"about {ruling.needs or 0:,} requests in all",
        cause=("false-ready" if seen.failing and 2 * of_new > bad else "scale-out-errors")
        if ruling.status is Status.FAIL
        else "",
    )


def _check(
    name: str, ruling: RestartRuling, /, *, observed: float | None, limit: float | None, unit: str,
    interval: Interval, told: str, cause: str
) -> Check:  # fmt: skip
    failed = ruling.status is Status.FAIL
    return Check(name, ruling.status, observed, limit, unit, interval, told, ruling.settle, cause if failed else "")


def _share_told(ruling: RestartRuling) -> str:
    low, high = ruling.interval.low, ruling.interval.high
    if low is None or high is None:
        return "No restart can be judged."
    return f"The true share of such restarts lies between {short(100 * low)} and {short(100 * high)} %."
