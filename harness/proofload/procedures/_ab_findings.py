"""What an A/B test concludes: a check for each metric, for the split and for the assignment; its words and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from proofload.procedures._ab_metrics import UNITS, Asked, Users, shown
from proofload.records import Check, Interval, Outcome, Samples, Status
from proofload.report import numbers
from proofload.verdict.ab_test import Look, at_every_look, at_the_end, first_settled
from proofload.verdict.experiment import split_ruling

_BAD = {Outcome.WRONG: "wrong-predictions", Outcome.LATE: "canary-slower", Outcome.TIMEOUT: "canary-slower"}
_SEVERAL = 2
_NAMES = {
    "ok_share": "share ok",
    "latency_p50_ms": "median latency",
    "latency_mean_ms": "mean latency",
    "score": "mean prediction",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """One metric: what was asked, the look that decides, all looks where there were several, and the diagnosis."""

    asked: Asked
    look: Look | None
    looks: tuple[Look, ...]
    cause: str


@dataclass(frozen=True, slots=True)
class Found:
    metrics: tuple[Judged, ...]
    by_user: bool
    assigned: tuple[int, int]
    """Distinct users (requests, where none are named) on each arm."""
    on_both: int
    share: float
    sequential: bool
    stretch_s: float


def found_by(
    questions: Sequence[Asked],
    samples: Samples,
    users: Users,
    *,
    start_ns: int,
    stretch_ns: int,
    share: float,
    alpha_fail: float,
    alpha_pass: float,
    sequential: bool,
) -> Found:
    judged = []
    for one in questions:
        part = shown(one.metric, samples, users, start_ns=start_ns, stretch_ns=stretch_ns)
        question = one.question(alpha_fail, alpha_pass)
        looks = tuple(at_every_look(part, question)) if sequential else ()
        look = first_settled(part, question) if sequential else at_the_end(part, question)
        judged.append(Judged(one, look, looks, _cause(one.metric, samples)))
    table = samples.table[samples.outcome != Outcome.UNSENT]
    who = users.sent(samples)[samples.outcome != Outcome.UNSENT]
    named = who < users.count
    by_user = bool(named.any())
    if by_user:
        sides = [np.unique(who[named & (table["arm"] == arm)]) for arm in (0, 1)]
        first, second = sides
        both = len(np.intersect1d(first, second))
        assigned = (len(sides[0]) - both, len(sides[1]) - both)
    else:
        assigned = (int(np.count_nonzero(table["arm"] == 0)), int(np.count_nonzero(table["arm"] == 1)))
        both = 0
    return Found(tuple(judged), by_user, assigned, both, share, sequential, stretch_ns / 1e9)


def checks_of(found: Found, alpha_fail: float) -> tuple[Check, ...]:
    return (*(_metric(one) for one in found.metrics), _split(found, alpha_fail), *_assignment(found))


def headline_of(found: Found, checks: Sequence[Check]) -> tuple[str, ...]:
    if not found.metrics or found.metrics[0].look is None:
        return ("The experiment showed nothing of its metric.",)
    primary = found.metrics[0]
    said = [_sentence(primary)]
    worse = [one for one in found.metrics[1:] if one.look is not None and one.look.ruling.status is Status.FAIL]
    said += [_sentence(one) for one in worse]
    broken = [check for check in checks if check.name in {"split", "assignment"} and check.status is Status.FAIL]
    said += [f"The comparison is not sound: {check.evidence}" for check in broken]
    return tuple(said[:3])


def details_of(found: Found) -> dict[str, Any]:
    return {
        "metrics": [_told(one) for one in found.metrics],
        "analysis": "sequential" if found.sequential else "fixed",
        "stretch_s": found.stretch_s,
        "assigned": {"by": "users" if found.by_user else "requests", "baseline": found.assigned[0],
                     "canary": found.assigned[1], "on_both": found.on_both, "share": found.share},
    }  # fmt: skip


def _told(one: Judged) -> Mapping[str, Any]:
    asked, look = one.asked, one.look
    return {
        "metric": asked.metric,
        "unit": UNITS[asked.metric],
        "direction": asked.direction,
        "margin": asked.margin,
        "plan": asdict(asked.plan),
        "says": None if look is None else look.ruling.saying,
        "status": None if look is None else look.ruling.status.value,
        "baseline": None if look is None else _number(look.difference.baseline),
        "effect": None if look is None else look.ruling.effect,
        "interval": None if look is None else [_number(look.ruling.low), _number(look.ruling.high)],
        "users": None if look is None else list(look.difference.users),
        "looks": [
            [each.stretches * 1.0, each.ruling.effect, _number(each.ruling.low), _number(each.ruling.high)]
            for each in one.looks
        ],
    }


def _metric(one: Judged) -> Check:
    asked, look, unit = one.asked, one.look, UNITS[one.asked.metric]
    if look is None:
        return Check(_check_name(asked.metric), Status.INCONCLUSIVE, None, asked.margin, unit, Interval(None, None),
                     "too little was seen for a single look", settle="a longer experiment")  # fmt: skip
    ruling, difference = look.ruling, look.difference
    plan = asked.plan
    planned = (
        f"Planned: {plan.users_needed:,} users a side to find {numbers.significant(plan.mde)} with power "
        f"{plan.power:.0%}; {plan.users_expected:,} were expected, which finds "
        f"{numbers.significant(plan.smallest_found)}."
    )
    evidence = (
        f"{ruling.saying}: {_change(one)} against {numbers.significant(difference.baseline)} of the baseline, with "
        f"{difference.users[0]:,} and {difference.users[1]:,} users. {planned}"
    )
    return Check(
        name=_check_name(asked.metric),
        status=ruling.status,
        observed=ruling.effect,
        limit=asked.margin if asked.direction != "higher" else -asked.margin,
        unit=unit,
        interval=Interval(_number(ruling.low), _number(ruling.high)),
        evidence=evidence,
        settle="" if ruling.status is not Status.INCONCLUSIVE else _settle(one),
        cause=one.cause if ruling.status is Status.FAIL else "",
    )


def _check_name(metric: str) -> str:
    return f"{metric.removesuffix('_ms').replace('_', '-')}-difference"


def _split(found: Found, alpha_fail: float) -> Check:
    status, chance = split_ruling(found.assigned, found.share, alpha=alpha_fail)
    total = sum(found.assigned)
    what = "users" if found.by_user else "requests"
    seen = found.assigned[1] / total if total else None
    evidence = (
        f"{found.assigned[1]:,} of {total:,} {what} were the second version's, {found.share:.0%} were asked for "
        f"(chance {chance:.3g})"
    )
    if not total:
        evidence = "nobody was assigned"
    return Check(
        "split", status, seen, found.share, "share", Interval(None, None), evidence,
        settle="" if total else "users", cause="split-mismatch" if status is Status.FAIL else "",
    )  # fmt: skip


def _assignment(found: Found) -> tuple[Check, ...]:
    if not found.by_user:
        return ()
    stays = found.on_both == 0
    whole = sum(found.assigned) + found.on_both
    return (
        Check(
            "assignment",
            Status.PASS if stays else Status.FAIL,
            float(found.on_both),
            0.0,
            "users",
            Interval(None, None),
            f"{found.on_both:,} of {whole:,} users were seen on both sides",
            cause="" if stays else "unstable-assignment",
        ),
    )


def _cause(metric: str, samples: Samples) -> str:
    if metric == "score":
        return "wrong-predictions"
    if metric != "ok_share":
        return "canary-slower"
    canary = samples.outcome[samples.table["arm"] == 1]
    bad = canary[(canary != Outcome.OK) & (canary != Outcome.UNSENT)]
    if not len(bad):
        return ""
    return _BAD.get(Outcome(int(np.bincount(bad).argmax())), "canary-errors")


def _sentence(one: Judged) -> str:
    assert one.look is not None  # the callers asked
    ruling, name = one.look.ruling, _NAMES[one.asked.metric]
    margin = numbers.significant(one.asked.margin)
    change = _change(one)
    match ruling.saying:
        case "worse":
            told = f"The second version is worse: its {name} differs by {change}, beyond the margin of {margin}"
            return told + (f" ({one.cause})." if one.cause else ".")
        case "better":
            return f"The second version is better: its {name} differs by {change}."
        case "inconclusive":
            return f"Undecided: the second version's {name} differs by {change}; the margin is {margin}."
        case _:
            return f"The second version is not worse: its {name} differs by {change}, within the margin of {margin}."


def _change(one: Judged) -> str:
    assert one.look is not None  # the callers asked
    ruling, unit = one.look.ruling, UNITS[one.asked.metric]
    points, scale = (" percentage points", 100.0) if unit == "share" else (f" {unit}" if unit == "ms" else "", 1.0)
    low, high = _number(ruling.low), _number(ruling.high)
    bounds = Interval(None if low is None else low * scale, None if high is None else high * scale)
    return f"{_signed(ruling.effect * scale)}{points} ({numbers.interval(bounds)})"


def _signed(value: float) -> str:
    text = numbers.significant(value)
    return f"+{text}" if value > 0 else text


def _settle(one: Judged) -> str:
    assert one.look is not None  # the caller asked
    ruling, users = one.look.ruling, sum(one.look.difference.users)
    span = (ruling.high - ruling.low) / 2
    room = max(one.asked.margin - abs(ruling.effect), one.asked.margin / 4)
    if not np.isfinite(span):
        return "a longer experiment: too few users or stretches of time so far"
    return f"about {numbers.count(users * (span / room) ** _SEVERAL)} users in all (now {users:,}), or a wider margin"


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
