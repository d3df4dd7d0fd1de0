"""What an A/B test concludes: a check for each metric, for the split and for the assignment; its words and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from proofload.analysis.assignment import wanderers
from proofload.analysis.finite import finite
from proofload.procedures._ab_test.metrics import UNITS, Asked, Questions, Users, shown
from proofload.records import Check, Interval, Outcome, Samples, Status
from proofload.report import numbers
from proofload.verdict.ab_test import Look, at_every_look, at_the_end, first_settled
from proofload.verdict.experiment import split_ruling
from proofload.verdict.rollout import assignment_check

_BAD = {Outcome.WRONG: "wrong-predictions", Outcome.LATE: "canary-slower", Outcome.TIMEOUT: "canary-slower"}
_SEVERAL = 2
_NAMES = {
    "ok_share": "share ok",
    "latency_p50_ms": "median latency",
    "latency_mean_ms": "mean latency",
    "score": "mean prediction",
}


_NO_ANSWER = ("hardly an answer came", "a pilot on a baseline that answers, or a longer one (pilot_s)")
_NOT_SEEN = {
    "score": (
        "no answer held a prediction that is a single number",
        "answers in which [response] of the target file finds a number, or another metric",
    )
}
"""Why a metric may be missing, and what would settle it."""


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
    primary: str
    """The metric in question."""
    unseen: tuple[str, ...]
    """Metrics that were asked for and of which the pilot showed nothing."""
    by_user: bool
    assigned: tuple[int, int]
    """Distinct users (requests, where none are named) on each arm alone."""
    on_both: int
    twice: int
    """Users seen more than once."""
    share: float
    sequential: bool
    stretch_s: float

    @property
    def keeps_the_second(self) -> bool:
        """Would the second version be kept? Only where nothing that was asked speaks against it, or is open."""
        passed = all(one.look is not None and one.look.ruling.status is Status.PASS for one in self.metrics)
        return passed and not self.unseen


def found_by(
    questions: Questions,
    samples: Samples,
    users: Users,
    *,
    start_ns: int,
    stretch_ns: int,
    share: float,
    alpha_pass: float,
    sequential: bool,
) -> Found:
    judged = []
    for one in questions.asked:
        part = shown(one.metric, samples, users, start_ns=start_ns, stretch_ns=stretch_ns)
        question = one.question(questions.alpha_fail, alpha_pass)
        looks = tuple(at_every_look(part, question)) if sequential else ()
        look = first_settled(part, question) if sequential else at_the_end(part, question)
        judged.append(Judged(one, look, looks, _cause(one.metric, samples)))
    table = samples.table[samples.outcome != Outcome.UNSENT]
    who = users.sent(samples)[samples.outcome != Outcome.UNSENT]
    named = who < users.count
    by_user = bool(named.any())
    if by_user:
        sides = [np.unique(who[named & (table["arm"] == arm)]) for arm in (0, 1)]
        both, twice = wanderers(np.where(named, who, -1), table["arm"] == 1)
        assigned = (len(sides[0]) - both, len(sides[1]) - both)
    else:
        assigned = (int(np.count_nonzero(table["arm"] == 0)), int(np.count_nonzero(table["arm"] == 1)))
        both = twice = 0
    return Found(
        metrics=tuple(judged),
        primary=questions.metrics[0],
        unseen=questions.unseen,
        by_user=by_user,
        assigned=assigned,
        on_both=both,
        twice=twice,
        share=share,
        sequential=sequential,
        stretch_s=stretch_ns / 1e9,
    )


def checks_of(found: Found, alpha_fail: float) -> tuple[Check, ...]:
    """`alpha_fail` is each check's own."""
    return (
        *(_unseen(name) for name in found.unseen),
        *(_metric(one) for one in found.metrics),
        _split(found, alpha_fail),
        *_assignment(found, alpha_fail),
    )


def headline_of(found: Found, checks: Sequence[Check]) -> tuple[str, ...]:
    looked_at = [one for one in found.metrics if one.look is not None]
    primary = [one for one in looked_at if one.asked.metric == found.primary]
    said = [_sentence(one) for one in primary]
    if not primary:
        said = [f"Undecided: the experiment showed nothing of what was asked, the {_NAMES[found.primary]}."]
    unseen = [_NAMES[name] for name in found.unseen if name != found.primary]
    said += [f"Nothing was seen of the {' and the '.join(unseen)}."] if unseen else []
    guardrails = [one for one in looked_at if one.asked.metric != found.primary]
    said = [_sentence(one) for one in guardrails if _status(one) is Status.FAIL] + said
    broken = [check for check in checks if check.name in {"split", "assignment"} and check.status is Status.FAIL]
    said += [f"The comparison is not sound: {check.evidence}" for check in broken]
    return tuple(said[:3])


def details_of(found: Found) -> dict[str, Any]:
    return {
        "unseen": list(found.unseen),
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
        "baseline": None if look is None else finite(look.difference.baseline),
        "effect": None if look is None else look.ruling.effect,
        "interval": None if look is None else [finite(look.ruling.low), finite(look.ruling.high)],
        "users": None if look is None else list(look.difference.users),
        "looks": [
            [each.stretches * 1.0, each.ruling.effect, finite(each.ruling.low), finite(each.ruling.high)]
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
        interval=Interval(finite(ruling.low), finite(ruling.high)),
        evidence=evidence,
        settle="" if ruling.status is not Status.INCONCLUSIVE else _settle(one),
        cause=one.cause if ruling.status is Status.FAIL else "",
    )


def _status(one: Judged) -> Status | None:
    return None if one.look is None else one.look.ruling.status


def _unseen(metric: str) -> Check:
    what, settle = _NOT_SEEN.get(metric, _NO_ANSWER)
    return Check(
        _check_name(metric), Status.INCONCLUSIVE, None, None, UNITS[metric], Interval(None, None),
        f"the {_NAMES[metric]} was asked for, and the pilot showed nothing of it: {what}", settle=settle,
    )  # fmt: skip


def _check_name(metric: str) -> str:
    return f"{metric.removesuffix('_ms').replace('_', '-')}-difference"


def _split(found: Found, alpha_fail: float) -> Check:
    status, chance = split_ruling(found.assigned, found.share, alpha=alpha_fail)
    total = sum(found.assigned)
    what = "users" if found.by_user else "requests"
    seen = found.assigned[1] / total if total else None
    evidence = (
        f"{found.assigned[1]:,} of {total:,} {what} were the second version's, {found.share:.0%} were asked for "
        f"(chance {numbers.chance(chance)})"
    )
    if not total:
        evidence = "nobody was assigned"
    return Check(
        "split", status, seen, found.share, "share", Interval(None, None), evidence,
        settle=f"more {what}" if status is Status.INCONCLUSIVE else "",
        cause="split-mismatch" if status is Status.FAIL else "",
    )  # fmt: skip


def _assignment(found: Found, alpha_fail: float) -> tuple[Check, ...]:
    """No share moves while the experiment goes on, so nobody has a reason to change sides."""
    return (assignment_check(found.on_both, found.twice, 0, 0, alpha=alpha_fail),) if found.by_user else ()


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
            return f"The second version's {name} is better: it differs by {change}."
        case "inconclusive":
            return f"Undecided: the second version's {name} differs by {change}; the margin is {margin}."
        case _:
            return f"The second version's {name} is not worse: it differs by {change}, within the margin of {margin}."


def _change(one: Judged) -> str:
    assert one.look is not None  # the callers asked
    ruling, unit = one.look.ruling, UNITS[one.asked.metric]
    points, scale = (" percentage points", 100.0) if unit == "share" else (f" {unit}" if unit == "ms" else "", 1.0)
    low, high = finite(ruling.low), finite(ruling.high)
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
