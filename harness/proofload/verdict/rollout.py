"""From what a rollout showed to checks: each guard, the split, who changed sides, what the switches lost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from proofload.analysis.assignment import SplitSeen, share_bounds, too_many
from proofload.analysis.guard_margins import Excess
from proofload.analysis.guard_rules import SLOWER, TAILS
from proofload.analysis.sequential import SHARES
from proofload.records import Check, Interval, Status

GUARDS, OTHERS = 0.5, 0.5 / 6
"""What each may use of the scenario's chance of a false alarm: all guards together, which can stop a run; and the
split, the assignment, each of three switches, and the SLO."""
TOLERATED = 0.001
"""Share of users that may change sides, and of requests that a switch may lose, where nothing else is said."""
NOTHING = Interval(None, None)
_CAUSES = {
    "errors": "canary-errors",
    "wrong-answers": "wrong-predictions",
    "predictions": "wrong-predictions",
    "version": "wrong-version",
    "canary-down": "canary-down",
}


@dataclass(frozen=True, slots=True)
class Tolerances:
    """What is no harm yet: shares, those of guards in excess of the baseline's."""

    errors: float = 0.005
    tail: float = 0.01
    slower: float = 0.05
    disagreement: float = 0.001
    slips: float = TOLERATED

    def of(self, guard: str, *, spells: bool = True) -> tuple[float, str]:
        """(a guard's margin, the scenario's key for it). `spells`: what `tail` is held against, see `tail_excess`."""
        if guard in {"predictions", "version"}:
            return self.disagreement, "disagreement"
        if guard in TAILS and spells:
            return self.tail, "tail_margin"
        return (self.slower, "slower_margin") if guard.startswith("slower") else (self.errors, "error_margin")


@dataclass(frozen=True, slots=True)
class GuardSeen:
    """What one guard came to."""

    name: str
    log_e: float
    """The largest it reached."""
    limit: float
    tripped: bool
    bad: int
    n: int
    blocks: int
    """Blocks that compared anything."""
    needed: int
    """Blocks in a row that it takes to trip; of a guard on shares, answers that differ."""
    told: str
    excess: Excess
    """By how much more of the canary's answers may still be bad."""
    margin: float
    """How much is tolerated."""
    margin_key: str
    """The scenario's key for it."""
    median_shifted: bool = False
    """Whether the canary's median, too, is slower than the baseline's."""


@dataclass(frozen=True, slots=True)
class Switch:
    """Requests that were on their way when something was switched."""

    name: str
    in_flight: int
    lost: int
    routed: bool = False
    """A router stands between: it lets requests end before a version is told to."""


def guard_check(seen: GuardSeen, *, ended_early: bool) -> Check:
    """Fails when the guard tripped. It passes when it had time enough to trip, did not, and what the canary may do
    worse is less than is tolerated: a guard that is quiet for want of data shows nothing."""
    status, settle, upper = Status.PASS, "", seen.excess.upper
    if seen.tripped:
        status = Status.FAIL
    elif ended_early or seen.blocks < seen.needed:
        status = Status.INCONCLUSIVE
        settle = f"stages of more than {seen.needed} blocks in all, with answers of both versions, run to their end"
    elif upper is None or upper >= seen.margin:
        status, settle = Status.INCONCLUSIVE, _to_settle(seen)
    bounds = share_bounds(seen.bad, seen.n) if seen.n else None
    share = f"{seen.bad / seen.n:.2%} ({bounds[0]:.2%} to {bounds[1]:.2%})" if bounds is not None else "no data"
    return Check(
        name=f"guard-{seen.name}",
        status=status,
        observed=round(math.exp(min(seen.log_e, 600.0)), 3),
        limit=round(math.exp(seen.limit)),
        unit="e-value",
        interval=NOTHING,
        evidence=f"{seen.told}. Canary {share}; {seen.blocks} blocks compared. {_at_most(seen)}",
        settle=settle,
        cause=_cause(seen) if seen.tripped else "",
    )


def down_check(*, tripped: bool, told: str) -> Check:
    status = Status.FAIL if tripped else Status.PASS
    cause = "canary-down" if tripped else ""
    return Check("canary-up", status, None, None, "", NOTHING, told or "the canary answered throughout", cause=cause)


def data_check(stages: Mapping[str, tuple[int, int]], *, planned: int, ended: str) -> Check:
    """`stages`: (requests to the baseline, to the canary) of each stage that began. No data is no pass."""
    empty = [name for name, counts in stages.items() if not all(counts)]
    told = "; ".join(f"{name}: {a:,} to the baseline, {b:,} to the canary" for name, (a, b) in stages.items())
    good = not empty and len(stages) == planned and not ended
    why = f"{ended}. " if ended else f"no data: {', '.join(empty)}. " if empty else ""
    settle = "" if good else "a run that ends by itself, with requests to both versions in each stage"
    status = Status.PASS if good else Status.INCONCLUSIVE
    evidence = f"{why}{len(stages)} of {planned} stages. {told}"
    return Check("stages-with-data", status, float(len(stages)), float(planned), "", NOTHING, evidence, settle)


def split_check(seen: tuple[SplitSeen, ...], *, alpha: float, by_users: bool) -> Check:
    """The stages share α. Units are users where they are known."""
    unit = "users" if by_users else "requests"
    limit = math.log(max(1, len(seen)) / alpha)
    worst = max(seen, key=lambda one: one.log_e, default=None)
    if worst is None or not worst.units:
        return Check("split", Status.INCONCLUSIVE, None, None, "", NOTHING, "no request was split", "a run with data")
    failed = worst.log_e >= limit
    could = any(one.units * -math.log(min(one.share, 1.0 - one.share) or alpha) >= limit for one in seen)
    told = "; ".join(f"{one.share:.0%}: {one.on_canary:,} of {one.units:,} {unit}" for one in seen)
    low, high = share_bounds(worst.on_canary, worst.units)
    return Check(
        name="split",
        status=Status.FAIL if failed else Status.PASS if could else Status.INCONCLUSIVE,
        observed=worst.seen,
        limit=worst.share,
        unit="share",
        interval=Interval(low, high),
        evidence=f"{told}. Largest e-value {math.exp(min(worst.log_e, 600)):.3g} of {math.exp(limit):,.0f}",
        settle="" if could else f"more {unit}: of so few, none on the side that they were not sent to would be chance",
        cause="split-mismatch" if failed else "",
    )


def assignment_check(
    both: int, users: int, left: int, could: int, *, alpha: float, tolerated: float = TOLERATED
) -> Check:
    """`both` of `users` were on both sides within a stage; `left` of `could` went back though the share grew."""
    if not users:
        return Check(
            "assignment", Status.INCONCLUSIVE, None, None, "", NOTHING, "no user was seen twice", "a longer run"
        )
    failed = too_many(both, users, tolerated=tolerated, alpha=alpha / 2) or too_many(
        left, could, tolerated=tolerated, alpha=alpha / 2
    )
    enough = too_many(users, users, tolerated=tolerated, alpha=alpha / 2)
    low, high = share_bounds(both, users)
    return Check(
        name="assignment",
        status=Status.FAIL if failed else Status.PASS if enough else Status.INCONCLUSIVE,
        observed=both / users,
        limit=tolerated,
        unit="share",
        interval=Interval(low, high),
        evidence=f"{both:,} of {users:,} users were served by both versions while no share moved"
        + (f"; {left:,} of {could:,} left the canary while its share grew" if could else ""),
        settle="" if enough else "more users that are seen twice: even all of so few could be chance",
        cause="unstable-assignment" if failed else "",
    )


def switch_check(seen: Switch, *, alpha: float, ended: bool, tolerated: float = TOLERATED) -> Check:
    """Were requests lost by a switch? `ended`: a version was told to end, so they were in flight on it."""
    failed = too_many(seen.lost, seen.in_flight, tolerated=tolerated, alpha=alpha)
    could = seen.in_flight > 1 and too_many(seen.in_flight, seen.in_flight, tolerated=tolerated, alpha=alpha)
    thin = not (could or (ended and seen.routed)) or (ended and seen.lost > 0)  # one may be chance
    status = Status.FAIL if failed else Status.INCONCLUSIVE if thin else Status.PASS
    low, high = share_bounds(seen.lost, seen.in_flight)
    what = "requests in flight when it was told to end" if ended else "requests sent while a share moved"
    drained = " (the router had let them end before)" if ended and seen.routed and seen.in_flight < 2 else ""
    return Check(
        name=seen.name,
        status=status,
        observed=seen.lost / seen.in_flight if seen.in_flight else None,
        limit=tolerated,
        unit="share",
        interval=Interval(low, high) if seen.in_flight else NOTHING,
        evidence=f"{seen.lost:,} of {seen.in_flight:,} {what} got no answer{drained}",
        settle="a higher rate, so that something is in flight" if status is Status.INCONCLUSIVE else "",
        cause="dropped-in-flight" if failed and ended else "",
    )


def taken_back(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Of a rollout that was taken back: a check that fails, unless another one says why."""
    if any(check.status is Status.FAIL for check in checks):
        return ()
    told = "the second version was taken back, and nothing else found says why"
    return (Check("rolled-back", Status.FAIL, None, None, "", NOTHING, told),)


def untold_check(untold: int, n: int) -> Check:
    """Requests that nobody can be blamed for: the guards are blind to what failed among them."""
    evidence = f"of {untold:,} of {n:,} requests neither a header nor a stamp tells which version answered"
    settle = "a router that says so in a response header (arm_header), or versions that are stamped differently"
    return Check("who-answered", Status.INCONCLUSIVE, untold / n, TOLERATED, "share", NOTHING, evidence, settle)


def never_started(what: str, why: str = "") -> Check:
    """`why`: what is known of the reason, the end of its log, say."""
    told = "; ".join(filter(None, (what, why)))
    return Check("canary-up", Status.FAIL, None, None, "", NOTHING, told, cause="canary-down")


def answers_to_trip(limit: float, tolerated: float) -> int:
    """How many answers, all of them different, trip a guard on shares."""
    for n in range(1, 1000):
        bets = [share for share in SHARES if share > 2 * tolerated] or [(1 + tolerated) / 2]
        if math.log(sum((share / tolerated) ** n for share in bets) / len(bets)) >= limit:
            return n
    return 1000


def _at_most(seen: GuardSeen) -> str:
    tolerated = f"{seen.margin:.2%} is tolerated ({seen.margin_key})"
    if seen.excess.upper is None:
        return f"How much worse it may be is not known; {tolerated}"
    than = f" more than the baseline's {seen.excess.baseline:.2%}" if seen.excess.baseline else ""
    what = "are slow" if seen.name in SLOWER else "are bad"
    what = "begin a spell of slow ones" if seen.excess.of_spells else what
    return f"At most {seen.excess.upper:.2%}{than} {what} ({seen.excess.confidence:.0%} confidence); {tolerated}"


def _to_settle(seen: GuardSeen) -> str:
    factor = seen.excess.factor
    if seen.excess.upper is None:
        return "answers of both versions"
    if factor is None:
        return f"a longer run: the share that was seen is not below what {seen.margin_key} tolerates"
    return f"about {max(1.1, factor):.1f} times as many answers: rate_rps or stage_s times so much"


def _cause(seen: GuardSeen) -> str:
    if seen.name in _CAUSES:
        return _CAUSES[seen.name]
    return "canary-slower" if seen.median_shifted else "canary-slow-tail"
