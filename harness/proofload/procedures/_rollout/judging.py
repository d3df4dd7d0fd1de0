"""A canary rollout, judged from its run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.assignment import leavers, split_seen, wanderers
from proofload.analysis.guard_margins import excesses
from proofload.analysis.guard_rules import ANSWERED, DOWN, SLOWER, UNTOLD, Rules, by_stamp, own_requests
from proofload.analysis.guards import GuardWatch
from proofload.analysis.sequential import wins_needed
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.procedures import Circumstances, Evidence, Findings, ended_early
from proofload.procedures._measured_phase import MeasuredPhase, measure
from proofload.procedures._rollout.guarding import SETTLED_NS, frozen, tally, told, versions_in
from proofload.procedures._rollout.latencies import Slow, by_stage, slow
from proofload.procedures._rollout.moving import BASELINE, CANARY, WARM_UP
from proofload.procedures._rollout.reading import Move, Story, known_afterwards, story_of
from proofload.procedures._rollout.settings import RolloutSettings
from proofload.procedures._rollout.telling import as_measured, did_not_start, headline, radius, series, times
from proofload.procedures._rollout.versions_judging import binding, does_not_serve
from proofload.records import SAMPLE_DTYPE, Check, Outcome, Phase, Samples, Status
from proofload.verdict.rollout import (
    NOTHING,
    OTHERS,
    GuardSeen,
    Switch,
    Tolerances,
    answers_to_trip,
    assignment_check,
    data_check,
    down_check,
    guard_check,
    never_started,
    split_check,
    switch_check,
    taken_back,
    untold_check,
)
from proofload.verdict.status import overall

_FIRM_NS = NS_PER_MS
"""A request counts as in flight when it was sent so long before: less may be on the wire still."""
_AROUND_NS = NS_PER_S // 4
_SLOW = 0.002
_NOISE = 10
"""Where more than so many times what a move may lose is lost at other times, what it lost cannot be told."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The whole rollout, replayed."""

    story: Story
    watch: GuardWatch
    rows: NDArray[np.void]
    """Users' requests from the first stage on, in order of time."""
    users: NDArray[np.int64]
    every: NDArray[np.void]
    """Users' requests, those of the baseline alone included."""
    untold: int
    """Requests of which nobody told who answered them."""
    slow: Mapping[str, Slow]
    """What each guard on latency calls slow, and watches."""


def judged(
    evidence: Evidence, scenario: RolloutSettings, *, stages: Sequence[float], rules: Rules, tolerances: Tolerances
) -> Findings:
    story = story_of(evidence)
    if story.never_started:
        why = story.its_last_words
        down = never_started(story.never_started, why)
        return Findings((), (down,), (), headline=(did_not_start(story.never_started, why),))
    measured = _measured(evidence, scenario)
    if not measured or not story.moves:
        return Findings.nothing(evidence)
    replay = replayed(evidence, scenario, story, rules)
    ended = ended_early(evidence)
    serving = CANARY if story.rolled is None else BASELINE
    checks = (
        *_checks(replay, scenario, tolerances, len(stages), ended),
        *_slo(replay, scenario, evidence, serving),
    )
    whole = _whole(evidence, scenario)
    validity = whole.validity if whole is not None else ()
    status = overall(validity, checks)
    details: dict[str, Any] = {
        "shares": list(stages),
        "rolled_back": story.rolled is not None,
        "guard": "" if story.rolled is None else story.rolled.guard,
        "times": times(story, replay.rows),
        "radius": radius(story, replay.rows, replay.users),
        "series": series(story, replay.watch, replay.every, evidence.phases[0].start_ns),
        "limit": replay.watch.rules.limit,
        "answers_checked": replay.watch.rules.answers_checked,
        "mirrored": story.mirrored,
        "latency": by_stage(story, replay.every, scenario.timeout_s),
        "slow": {name: {**one.figures(), **_tallied(replay.watch, name)} for name, one in replay.slow.items()},
    }
    said = as_measured(details)
    if status is not Status.INVALID and not ended:
        first = does_not_serve(_slo(replay, scenario, evidence, BASELINE), checks)
        said = (*first, *headline(status, checks, details))
    return Findings(
        phases=tuple(one.summary for one in measured),
        checks=checks,
        validity=validity,
        client=whole.health if whole is not None else None,
        headline=said,
        details=details,
    )


def replayed(evidence: Evidence, scenario: RolloutSettings, story: Story, asked: Rules) -> Replay:
    """The guards fed again with what the live watch was fed with."""
    before = known_afterwards(evidence, story, scenario.canary_version)
    rules = before.rules(asked)
    tables = {phase.index: (phase.name, evidence.samples(phase.index)) for phase in evidence.phases}
    warm = next((samples for name, samples in tables.values() if name == WARM_UP), Samples(np.zeros(0, SAMPLE_DTYPE)))
    loads = [samples.table for name, samples in tables.values() if name != WARM_UP]
    together = np.concatenate(loads) if loads else np.zeros(0, SAMPLE_DTYPE)
    together = together[np.argsort(together["intended_ns"], kind="stable")]
    began = next((phase.start_ns for phase in evidence.phases if phase.name == "baseline"), 0)
    first = story.stages[0].asked_ns if story.stages else 2**62
    planned = next(
        (phase.start_ns + round(phase.duration_s * NS_PER_S) for phase in evidence.phases if phase.name == "baseline"),
        first,
    )
    span = (began, planned)
    watch = frozen(
        before,
        rules,
        Samples(together),
        span,
        warm_up=warm,
        names=versions_in(evidence.names),
        workers=scenario.workers,
    )
    for move, end_ns in story.spans():
        watch.begin(move.done_ns + SETTLED_NS)
        watch.end(end_ns)
    watch.add(Samples(together[together["intended_ns"] >= planned]))
    watch.close()
    if story.stamped:
        together = by_stamp(together, watch.rules.versions)
    own = own_requests(together, story.forced)
    untold = int(np.count_nonzero((together["arm"] == UNTOLD) & (together["outcome"] != Outcome.UNSENT)))
    rows = own[own["intended_ns"] >= first]
    return Replay(story, watch, rows, before.users, own, untold, slow(watch, rows, scenario.timeout_s))


def _measured(evidence: Evidence, scenario: RolloutSettings) -> list[MeasuredPhase]:
    """Each phase that ran, its copies left out."""
    around = Circumstances.of(evidence)
    found = []
    for phase in evidence.phases:
        samples = evidence.samples(phase.index)
        copies = samples.table["mirror"] == 1
        own = samples.where(~copies)
        if not len(own):
            continue
        kept: Phase = replace(phase, planned=phase.planned - int(np.count_nonzero(copies)))
        found.append(measure(kept, own, scenario, around, find_warmup=False))
    return found


def _whole(evidence: Evidence, scenario: RolloutSettings) -> MeasuredPhase | None:
    """All that was measured as one: guards run through all stages, and so must the client have kept up."""
    ran, tables, planned = [], [], 0
    for phase in evidence.phases:
        table = evidence.samples(phase.index).table
        own = table[table["mirror"] == 0].copy()
        if not phase.measured or not len(own):
            continue
        own["seq"] += planned
        planned += phase.planned - int(np.count_nonzero(table["mirror"]))
        ran.append(phase)
        tables.append(own)
    if not ran:
        return None
    seconds = sum(phase.duration_s for phase in ran)
    whole = replace(ran[0], name="all stages", planned=planned, duration_s=seconds)
    samples = Samples(np.concatenate(tables))
    return measure(whole, samples, scenario, Circumstances.of(evidence), find_warmup=False)


def _slo(replay: Replay, scenario: RolloutSettings, evidence: Evidence, arm: int) -> tuple[Check, ...]:
    """The SLO of one version, as far as it binds: in all stages, as far as users met it."""
    if not len(replay.rows):
        return ()
    until = max((end for _, end in replay.story.spans()), default=0)
    there = replay.rows[(replay.rows["arm"] == arm) & (replay.rows["intended_ns"] < until)]
    phase = replace(evidence.phases[-1], name="all stages", planned=len(there))
    judged_on = measure(
        phase,
        Samples(there),
        scenario,
        Circumstances.of(evidence),
        find_warmup=False,
        alpha_share=OTHERS,
    )
    return binding(judged_on.checks, scenario.slo)


def _checks(
    replay: Replay, scenario: RolloutSettings, tolerances: Tolerances, stages: int, ended: str
) -> tuple[Check, ...]:
    story, watch = replay.story, replay.watch
    rolled = story.rolled is not None
    short = rolled or bool(ended) or len(story.stages) < stages
    checks = [
        guard_check(one, ended_early=short) for one in _guards(replay, tolerances, stages, 1 - scenario.alpha_pass)
    ]
    gone = DOWN in watch.tripped() or (story.rolled is not None and story.rolled.guard == DOWN)
    reason = story.rolled.reason if story.rolled is not None and gone else told(watch, DOWN) if gone else ""
    checks.append(down_check(tripped=gone, told=reason))
    if not rolled or ended:
        checks.append(data_check(_counts(replay), planned=stages, ended=ended))
    if replay.untold > tolerances.slips * len(replay.every):
        checks.append(untold_check(replay.untold, len(replay.every) + replay.untold))
        return tuple(checks)
    alpha = scenario.alpha_fail * OTHERS
    checks += _splitting(replay, alpha, tolerances.slips)
    checks += _switches(replay, alpha, tolerances.slips)
    return (*checks, *(taken_back(checks) if rolled else ()))


def _guards(replay: Replay, tolerances: Tolerances, stages: int, confidence: float) -> list[GuardSeen]:
    watch = replay.watch
    rules, tripped, found = watch.rules, watch.tripped(), []
    margins = {name: tolerances.of(name)[0] for name in (*rules.sign_guards, *rules.share_guards)}
    open_still = excesses(watch, replay.rows, margins, confidence, longest=tolerances.slower)
    shifted = _median_shifted(watch)
    for name, path in watch.paths().items():
        bad, n, _ = tally(watch, name)
        beside_it = replay.slow[name].told() if name in replay.slow else ""
        by_share = name in rules.share_guards
        compared = (
            sum(block.counts[name][1] for block in watch.blocks)
            if by_share
            else sum(block.matches[name].size > 0 for block in watch.blocks)
        )
        needed = answers_to_trip(rules.limit, rules.disagreement) if by_share else wins_needed(rules.limit, stages)
        found.append(
            GuardSeen(
                name=name,
                log_e=float(path.max(initial=0.0)),
                limit=rules.limit,
                tripped=name in tripped,
                bad=bad,
                n=n,
                blocks=compared,
                needed=needed,
                told="; ".join(filter(None, (told(watch, name), beside_it))),
                excess=open_still[name],
                margin=tolerances.of(name, spells=open_still[name].of_spells)[0],
                margin_key=tolerances.of(name, spells=open_still[name].of_spells)[1],
                median_shifted=shifted,
            )
        )
    return found


def _median_shifted(watch: GuardWatch) -> bool:
    """More than half of the canary's answers are slower than the baseline's median was, tolerance included."""
    bad, n, beside = tally(watch, next(iter(SLOWER)))
    return n > 0 and bad > n / 2 and bad > 1.2 * beside


def _tallied(watch: GuardWatch, guard: str) -> dict[str, int]:
    bad, n, beside = tally(watch, guard)
    return {"canary": bad, "of": n, "baseline": beside}


def _counts(replay: Replay) -> dict[str, tuple[int, int]]:
    due, arm = replay.rows["intended_ns"], replay.rows["arm"]
    found = {}
    for move, end_ns in replay.story.spans():
        inside = (due >= move.done_ns) & (due < end_ns)
        answered = inside & np.isin(replay.rows["outcome"], ANSWERED)
        there = int(np.count_nonzero(inside & (arm == 1)))
        found[f"{move.share:.0%}"] = (int(np.count_nonzero(answered & (arm == 0))), there)
    return found


def _splitting(replay: Replay, alpha: float, tolerated: float) -> list[Check]:
    by_users = bool(len(replay.users)) and bool((replay.users >= 0).any())
    seen, sides, both, twice = [], [], 0, 0
    for move, end_ns in replay.story.spans():
        due = replay.rows["dispatched_ns"]
        rows = replay.rows[(due >= max(move.done_ns, move.applied_ns) + SETTLED_NS) & (due < end_ns)]
        user = replay.users[rows["payload"]] if by_users else np.full(len(rows), -1)
        on_canary = rows["arm"] == 1
        seen.append(split_seen(user, on_canary, move.share))
        sides.append((user, on_canary))
        one, every = wanderers(user, on_canary)
        both, twice = both + one, twice + every
    checks = [split_check(tuple(seen), alpha=alpha, by_users=by_users)]
    if by_users:
        left, could = leavers(sides)
        checks.append(assignment_check(both, twice, left, could, alpha=alpha, tolerated=tolerated))
    return checks


def _switches(replay: Replay, alpha: float, tolerated: float) -> list[Check]:
    rows, story = replay.rows, replay.story
    usual = rows["outcome"][rows["sent_ns"] < min((one.told_ns for one in story.retired), default=2**62)]
    slow = len(usual) > 0 and float(np.mean(usual == Outcome.TIMEOUT)) > _SLOW  # late, then, and not lost
    lost = (Outcome.ERROR,) if slow else (Outcome.ERROR, Outcome.TIMEOUT)
    silent = np.isin(rows["outcome"], lost) & (rows["status"] == -1)
    checks = []
    for retired in story.retired:
        if retired.stops:
            flying = _in_flight(rows, retired.arm, retired.told_ns)
            name = f"in-flight-{'canary' if retired.arm else 'baseline'}"
            count, gone = int(np.count_nonzero(flying)), int(np.count_nonzero(flying & silent))
            checks.append(
                switch_check(Switch(name, count, gone, story.routed), alpha=alpha, ended=True, tolerated=tolerated)
            )
    around = np.zeros(len(rows), np.bool_)
    ends = [one.told_ns for one in story.retired]
    for move in story.stages:
        sent = rows["sent_ns"]
        around |= (sent > move.asked_ns - _AROUND_NS) & (sent < move.done_ns + _AROUND_NS)
    if ends:
        around &= rows["sent_ns"] < min(ends) - _AROUND_NS
    usually = silent[~around & (rows["sent_ns"] < min(ends, default=2**62))]
    moved = int(np.count_nonzero(around)), int(np.count_nonzero(around & silent))
    moves = _moves(usually, Switch("moves", *moved, story.routed), alpha, tolerated)
    refused = _refused(rows[silent], story.stages)
    if refused:
        moves = replace(moves, evidence=f"{moves.evidence}; {refused:,} more found no connection to be sent on")
    return [*checks, moves]


def _refused(silent: NDArray[np.void], stages: Sequence[Move]) -> int:
    """Of requests that were lost: those dispatched around a move, and never sent."""
    at = silent["dispatched_ns"][silent["sent_ns"] == 0]
    near = [(at > move.asked_ns - _AROUND_NS) & (at < move.done_ns + _AROUND_NS) for move in stages]
    return int(np.count_nonzero(np.any(near, axis=0))) if near else 0


def _moves(usually: NDArray[np.bool_], seen: Switch, alpha: float, tolerated: float) -> Check:
    """Requests lost while shares moved; open where too many are lost at other times to say that moving lost them.

    `usually`: which of the other requests were lost.
    """
    background = float(np.mean(usually)) if len(usually) else None
    if background is not None and background <= _NOISE * tolerated:
        return switch_check(seen, alpha=alpha, ended=False, tolerated=tolerated)
    why = "nothing was sent at any other time" if background is None else f"{background:.2%} are lost at any time"
    told = f"{seen.lost:,} of {seen.in_flight:,} requests sent while a share moved got no answer, but {why}"
    settle = "longer stages" if background is None else "versions and a network that lose less by themselves"
    return Check(seen.name, Status.INCONCLUSIVE, None, tolerated, "share", NOTHING, told, settle)


def _in_flight(rows: NDArray[np.void], arm: int, told_ns: int) -> NDArray[np.bool_]:
    sent = (rows["sent_ns"] > 0) & (rows["sent_ns"] <= told_ns - _FIRM_NS)
    flying: NDArray[np.bool_] = sent & (rows["done_ns"] > told_ns) & (rows["arm"] == arm)
    return flying
