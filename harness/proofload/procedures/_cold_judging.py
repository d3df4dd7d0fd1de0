"""Restarts judged: which of them were late, failing or slow, and what that amounts to, check by check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from proofload.analysis.effective import design_effect
from proofload.analysis.openings import (
    Requests,
    WarmLevel,
    Window,
    is_failing,
    is_one_stall,
    is_slow,
    opening,
    warm_level,
    windows,
)
from proofload.analysis.restarts import restart_quantile
from proofload.analysis.rule import holds
from proofload.analysis.summary import due_since
from proofload.clock import NS_PER_S
from proofload.procedures import Evidence
from proofload.procedures._cold_lives import GUARDS
from proofload.procedures._cold_reading import ColdRun, Growth, Life
from proofload.procedures._cold_requests import requests_of
from proofload.records import Check, Interval, Status
from proofload.verdict.cold import Demand, Harm, RestartRuling, decide, exceeds
from proofload.verdict.cold_causes import SlowOpening, Taken, Why, why_slow

if TYPE_CHECKING:
    from proofload.procedures.cold_start import Settings

CHANCES = 3
"""A limit is looked at over all restarts and condition by condition; two of those share the other two thirds."""


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
    openings: Mapping[int, Window]
    """By number of the restart; one without requests has none."""
    failing: frozenset[int]
    slow: frozenset[int]
    why: Why | None
    """Of slow openings, where there are any."""


def look_at(evidence: Evidence, run: ColdRun, scenario: Settings, warm_from_ns: int) -> Seen:
    """`warm_from_ns`: the steady stretch counts from this instant on."""
    length_ns = round(scenario.opening_s * NS_PER_S)
    warm = None
    if run.steady is not None:
        steady = requests_of(due_since(evidence.samples(run.steady.index), warm_from_ns))
        warm = warm_level(windows(steady, length_ns))
    lives = [life for life in run.lives if len(life.requests)]
    openings = {life.number: opening(life.requests, length_ns) for life in lives}
    if warm is None:
        return Seen(None, None, openings, frozenset(), frozenset(), None)
    failing = frozenset(life.number for life in lives if _opens_failing(life, openings[life.number], warm, scenario))
    slow = frozenset(life.number for life in lives if _opens_slowly(life, length_ns, warm, scenario))
    slow_ms = warm.worst_ms + scenario.penalty_ms
    rested = None
    if run.rested is not None and len(run.rested.requests):
        rested = _opens_slowly(run.rested, length_ns, warm, scenario)
    patterns = [
        _pattern(life, slow_ms, float(evidence.run["payloads"]["mean_bytes"])) for life in lives if life.number in slow
    ]
    return Seen(warm, slow_ms, openings, failing, slow, why_slow(patterns, rested) if patterns else None)


def checks_of(run: ColdRun, seen: Seen, scenario: Settings) -> tuple[Check, ...]:
    demand = Demand(
        scenario.quantile, scenario.tolerated_share, scenario.alpha_fail / GUARDS, scenario.restart_confidence
    )
    found = [
        *_come_up(run),
        _time_to_ready(run, scenario, demand),
        _false_ready(run, seen, demand),
        _first_requests(seen, scenario, demand),
    ]
    if run.joining is not None:
        found.append(_scale_out(run, seen, scenario, demand))
    return tuple(found)


def _opens_failing(life: Life, window: Window, warm: WarmLevel, scenario: Settings) -> bool:
    """Requests fail although it says ready. Where the very first is answered and answers are slow, those that fail
    later are refused because of the slowness: that is the finding then."""
    if not is_failing(window, warm):
        return False
    return bool(life.requests.bad[0]) or not is_slow(window, warm, scenario.penalty_ms)


def _opens_slowly(life: Life, length_ns: int, warm: WarmLevel, scenario: Settings) -> bool:
    """Judged from the first request on; where requests fail first, from the first one after them."""
    requests, window = life.requests, opening(life.requests, length_ns)
    if _opens_failing(life, window, warm, scenario):
        after = int(np.flatnonzero(requests.bad)[-1]) + 1
        requests = Requests(*(getattr(requests, name)[after:] for name in ("due_ns", "done_ns", "latency_ms", "bad")))
        window = opening(requests, length_ns)
    return is_slow(window, warm, scenario.penalty_ms)


def _pattern(life: Life, slow_ms: float, payload_bytes: float) -> SlowOpening:
    requests_bytes = round(len(life.requests) * (payload_bytes + HEAD_BYTES))
    return SlowOpening(is_one_stall(life.requests, slow_ms), tuple(_taken(one, requests_bytes) for one in life.growth))


def _taken(one: Growth, requests_bytes: int) -> Taken:
    """Besides what requests, connections and threads take."""
    memory = None if one.memory_bytes is None else one.memory_bytes - HAND_BYTES * max(0, one.hands or 0)
    return Taken(memory, one.before_bytes, None if one.read_bytes is None else one.read_bytes - requests_bytes)


def _come_up(run: ColdRun) -> list[Check]:
    died = [life for life in run.lives if life.outcome == "died"]
    if not died:
        return []
    share = len(died) / len(run.lives)
    told = f"{len(died)} of {len(run.lives)} restarts ended before they were ready. {died[0].what}"
    return [Check("restarts_come_up", Status.FAIL, share, 0.0, "share", Interval(None, None), told.strip())]


def _time_to_ready(run: ColdRun, scenario: Settings, demand: Demand) -> Check:
    limit = scenario.ready_limit_s
    times = [life.ready_s for life in run.lives]
    late = [life for life in run.lives if life.ready_s > limit]
    ruling = _over_conditions(run.lives, {life.number for life in late}, demand)
    middle = restart_quantile(times, 0.5, demand.confidence)
    told = f"{len(late)} of {len(times)} restarts took longer than {limit:g} s from spawn to ready"
    never = [life for life in late if life.outcome != "ready"]
    if never:
        told += f"; {len(never)} were given up after {max(life.waited_s for life in never):.1f} s"
    finite = sorted(time for time in times if np.isfinite(time))
    if finite:
        told += (
            f"; the others took {finite[0]:.3g} to {finite[-1]:.3g} s"
            if never
            else (f"; they took {finite[0]:.3g} to {finite[-1]:.3g} s")
        )
    return _check(
        "time_to_ready",
        ruling,
        observed=middle.value if middle.value is not None else (float(np.median(finite)) if finite else None),
        limit=limit,
        unit="s",
        interval=Interval(middle.low, middle.high),
        told=f"{told}. {_share_told(ruling)}",
        cause="slow-load",
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


def _false_ready(run: ColdRun, seen: Seen, demand: Demand) -> Check:
    n, hits = len(seen.openings), len(seen.failing)
    ruling = decide(_against_warm(hits, n, seen, is_failing), demand)
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
            f"; its first correct answer came {float(np.median(seen_right)):.3g} s after it (median)"
            if seen_right
            else "; no correct answer came"
        )
    if seen.why is not None and seen.why.cause == "false-ready":
        return _check(
            "false_ready", _as_slow(seen, demand), observed=len(seen.slow) / max(1, n), limit=demand.tolerated,
            unit="share", interval=ruling.interval, cause="false-ready",
            told=f"in {len(seen.slow)} of {n} restarts the first answers were slow; {seen.why.told}",
        )  # fmt: skip
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
    ruling = _as_slow(seen, demand)
    worst = [window.worst_ms for window in seen.openings.values()]
    middle = restart_quantile(worst, 0.5, demand.confidence) if worst else None
    told = f"in {len(seen.slow)} of {n} restarts the first {scenario.opening_s:g} s were slower than permitted"
    if seen.warm is not None:
        told += (
            f" (slowest answer: {float(np.median(worst)):.3g} ms in the median restart, {seen.warm.worst_ms:.3g} ms "
            f"when warm; {scenario.penalty_ms:g} ms more may be)"
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


def _as_slow(seen: Seen, demand: Demand) -> RestartRuling:
    penalty_ms = 0.0 if seen.warm is None or seen.slow_ms is None else seen.slow_ms - seen.warm.worst_ms
    harm = _against_warm(
        len(seen.slow), len(seen.openings), seen, lambda window, warm: is_slow(window, warm, penalty_ms)
    )
    return decide(harm, demand)


def _against_warm(hits: int, n: int, seen: Seen, looks_so: Callable[[Window, WarmLevel], bool]) -> Harm:
    if seen.warm is None:
        return Harm(hits, n, 0, 0)
    marked = sum(looks_so(window, seen.warm) for window in seen.warm.windows)
    return Harm(hits, n, marked, len(seen.warm.windows))


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
    since = requests.between(joining.starting_ns, int(requests.due_ns[-1]) + 1)
    bad = int(np.count_nonzero(since.bad))
    ruling = holds(
        bad,
        len(since),
        scenario.slo.ok_share,
        effect=design_effect(since.bad),
        confidence=1.0 - scenario.alpha_pass,
        alpha_fail=demand.alpha,
    )
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
    return f"The true share of such restarts lies between {100 * low:.3g} and {100 * high:.3g} %."
