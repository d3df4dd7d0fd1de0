"""What a blue-green run concludes: is green sound, what did the switches cost, was the way back open?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.before_after import FAILURES, SLOWER, TAIL, WRONG
from proofload.analysis.guard_rules import DOWN
from proofload.analysis.switches import Around, Cost, Switch, cost_of, lost_around, lost_to_the_end
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.procedures._blue_green.guard import CAUSES, Counted, Guard, told
from proofload.procedures._rollout.moving import RETIRE, ROLLBACK, SHARE
from proofload.records import Check, Event, Interval, Outcome, Samples, Status
from proofload.report import numbers
from proofload.verdict.blue_green import FEWEST_BLOCKS, Harm, at_the_end, first_harm
from proofload.verdict.experiment import Ruling
from proofload.verdict.rollout import TOLERATED, switch_check, taken_back
from proofload.verdict.rollout import Switch as Switched
from proofload.verdict.shadow import Tolerance

_NOTHING = Interval(None, None)
_NAMES = {FAILURES: "green-failures", WRONG: "green-answers", SLOWER: "green-latency", TAIL: "green-tail"}


@dataclass(frozen=True, slots=True)
class Moved:
    """One switch, what it cost, and what it was for."""

    switch: Switch
    cost: Cost
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    counted: Counted | None
    """Green against blue; None: green never had the traffic."""
    rulings: Mapping[str, Ruling]
    """By guard, at the end of what green was given; empty: too little of it was seen."""
    harm: Harm | None
    """What the looks saw first."""
    taken_back: str
    """The guard that took it back, or empty."""
    detect_s: float | None
    """From the switch until the way back was asked for."""
    moves: tuple[Moved, ...]
    ends: tuple[tuple[int, int, int], ...]
    """(arm, requests lost, requests under way) for each version that was told to end under load."""
    around: Around
    """What all switches together lost, beside what is lost anyhow."""
    touched: int
    users: int | None
    """Requests that went to green, and of how many users."""

    def reason(self) -> str:
        """What took it back, in words; empty where nothing of it is seen in the samples."""
        if self.counted is None:
            return ""
        if self.harm is not None:
            return told(self.harm.guard, self.harm.ruling, self.counted)
        bad = (told(name, one, self.counted) for name, one in self.rulings.items() if one.status is Status.FAIL)
        return next(bad, "")


def found_by(
    events: Sequence[Event],
    samples: Samples,
    users: NDArray[np.int32] | None,
    *,
    start_ns: int,
    tolerance: Tolerance,
    alpha_fail: float,
    alpha_pass: float,
) -> Found:
    moves = _moves(events, samples, start_ns)
    green = next((move for move in moves if move.switch.arm == 1), None)
    rollback = next((event for event in events if event.kind == ROLLBACK), None)
    ended = _ended(events)
    ends = tuple((arm, *lost_to_the_end(samples, arm, told_ns, end_ns)) for arm, told_ns, end_ns in ended)
    away = [move.switch for move in moves if move.why != DOWN]  # what a dead version lost, no switch did
    around = lost_around(away, samples, ended)
    if green is None:
        return Found(None, {}, None, "", None, moves, ends, around, 0, None)
    switched_ns = green.switch.done_ns
    until_ns = _left_ns(moves, green, samples)
    guard = Guard(start_ns, switched_ns, tolerance, alpha_fail, alpha_pass)
    counted = guard.counted(samples, until_ns)
    harm = first_harm(counted.guarded, alpha_fail=alpha_fail)
    enough = until_ns - switched_ns >= FEWEST_BLOCKS * NS_PER_S
    on_green = (samples.table["arm"] == 1) & (samples.table["intended_ns"] >= switched_ns)
    payloads = np.unique(samples.table["payload"][on_green & (samples.outcome != Outcome.UNSENT)])
    named = None if users is None else users[payloads]
    return Found(
        counted=counted,
        rulings=at_the_end(counted.guarded, alpha_fail=alpha_fail, alpha_pass=alpha_pass) if enough else {},
        harm=harm,
        taken_back="" if rollback is None else str(rollback.detail["guard"]),
        detect_s=None if rollback is None else (rollback.t_ns - switched_ns) / NS_PER_S,
        moves=moves,
        ends=ends,
        around=around,
        touched=int(np.count_nonzero(on_green)),
        users=None if named is None else len(np.unique(named[named >= 0])),
    )


def checks_of(
    found: Found, up: Check, slo: Sequence[Check], *, switch_s: float, planned: bool, alpha_fail: float
) -> tuple[Check, ...]:
    """`planned`: green was proven, so the way back and the last switch were made as planned. `up`: did it stay up?

    `alpha_fail` is for each check of what was lost.
    """
    checks = (
        up,
        *_green(found),
        _switching(found, switch_s),
        *_lost(found, alpha_fail),
        _way_back(found, planned=planned),
        *slo,
    )
    return (*checks, *(taken_back(checks) if found.taken_back else ()))


def headline_of(found: Found, checks: Sequence[Check]) -> tuple[str, ...]:
    slowest = max((move.cost.settled_s for move in found.moves), default=None)
    lost = sum(move.cost.lost for move in found.moves) + sum(end[1] for end in found.ends)
    said = []
    if found.taken_back:
        reason = found.reason()
        why = f": {reason}" if reason else ""
        said.append(
            f"Green was taken back {numbers.seconds(found.detect_s)} after the switch{why}. "
            f"Until then it had {numbers.count(found.touched)} requests"
            + (f" of {numbers.count(found.users)} users." if found.users is not None else ".")
        )
    elif all(check.status is Status.PASS for check in checks):
        said.append("Green took over all traffic from blue and kept it: it fails no more often and is no slower.")
    else:
        failed = [check.name for check in checks if check.status is Status.FAIL]
        unsettled = [check.name for check in checks if check.status is Status.INCONCLUSIVE]
        said.append(
            f"Green kept the traffic, but it fails: {', '.join(failed)}."
            if failed
            else f"Green kept the traffic; not all is shown: {', '.join(unsettled)}."
        )
    if slowest is not None:
        said.append(
            f"All traffic was switched {len(found.moves)} times, in {numbers.seconds(slowest)} at most, "
            f"and {numbers.count(lost) if lost else 'no'} request was lost to it."
            if lost < 2
            else f"All traffic was switched {len(found.moves)} times; {numbers.count(lost)} requests were lost to it."
        )
    return tuple(said)


def details_of(found: Found, samples: Samples, start_ns: int) -> dict[str, Any]:
    return {
        "moves": [
            {"to": "green" if move.switch.arm else "blue", "at_s": (move.switch.asked_ns - start_ns) / NS_PER_S,
             "settled_s": move.cost.settled_s, "in_flight": move.cost.in_flight, "lost": move.cost.lost,
             "why": move.why}
            for move in found.moves
        ],
        "ends": [{"arm": arm, "lost": lost, "under_way": way} for arm, lost, way in found.ends],
        "taken_back": found.taken_back,
        "detect_s": found.detect_s,
        "touched": found.touched,
        "users": found.users,
        "seconds": _seconds(samples, start_ns),
    }  # fmt: skip


def _seconds(samples: Samples, start_ns: int) -> dict[str, list[Any]]:
    """By second of due time: requests to either version, failures, median latency; for the picture."""
    table = samples.table[samples.outcome != Outcome.UNSENT]
    second = (table["intended_ns"] - start_ns) // NS_PER_S
    told: dict[str, list[Any]] = {"t_s": [], "blue": [], "green": [], "bad": [], "p50_ms": [], "p99_ms": []}
    for number in range(int(second.max()) + 1 if len(second) else 0):
        rows = table[second == number]
        done = rows[rows["done_ns"] > 0]
        latency = (done["done_ns"] - done["intended_ns"]) / NS_PER_MS
        told["t_s"].append(number)
        told["blue"].append(int(np.count_nonzero(rows["arm"] == 0)))
        told["green"].append(int(np.count_nonzero(rows["arm"] == 1)))
        told["bad"].append(int(np.count_nonzero(rows["outcome"] != Outcome.OK)))
        for name, q in (("p50_ms", 0.5), ("p99_ms", 0.99)):
            told[name].append(float(np.quantile(latency, q)) if len(latency) else None)
    return told


def _moves(events: Sequence[Event], samples: Samples, start_ns: int) -> tuple[Moved, ...]:
    """Switches made under load. One that changes nothing (the end's, where blue has the traffic) is none."""
    asked: list[tuple[Switch, str]] = []
    arm = 0
    for event in events:
        if event.kind != SHARE or event.detail["asked_ns"] < start_ns:
            continue
        to = 1 if event.detail["canary_share"] >= 1.0 else 0
        if to != arm and event.detail.get("why") != "end":
            asked.append((Switch(to, event.detail["asked_ns"], event.detail["done_ns"]), str(event.detail["why"])))
        arm = to
    latest = int(samples.table["intended_ns"].max()) + 1 if len(samples) else 0
    ends = [switch.asked_ns for switch, _ in asked[1:]] + [latest]
    return tuple(
        Moved(switch, cost_of(switch, samples, until_ns=until), why)
        for (switch, why), until in zip(asked, ends, strict=True)
    )


def _left_ns(moves: Sequence[Moved], green: Moved, samples: Samples) -> int:
    """When green's first time with all the traffic was over."""
    later = [move.switch.asked_ns for move in moves if move.switch.asked_ns > green.switch.asked_ns]
    return later[0] if later else int(samples.table["intended_ns"].max()) + 1


def _ended(events: Sequence[Event]) -> list[tuple[int, int, int]]:
    """(arm, when it was told to end, when it had ended) of each version that the lab could tell."""
    found = []
    for event in events:
        if event.kind != RETIRE or not event.detail["stops"]:
            continue
        arm, told_ns = int(event.detail["arm"]), int(event.detail["told_ns"])
        stopped = [
            other.t_ns for other in events
            if other.kind == "server" and other.detail["what"] == "stopped" and other.detail["arm"] == arm
            and other.t_ns >= told_ns
        ]  # fmt: skip
        ended_ns = min(stopped) if stopped else told_ns + 10 * NS_PER_S
        found.append((arm, told_ns, ended_ns))
    return found


def _green(found: Found) -> list[Check]:
    if found.counted is None or not found.rulings:
        settle = "at least three seconds of load on green"
        return [Check("green", Status.INCONCLUSIVE, None, None, "", _NOTHING, "too little of it was seen", settle)]
    return [_one(name, ruling, found, found.counted) for name, ruling in found.rulings.items()]


def _one(name: str, ruling: Ruling, found: Found, counted: Counted) -> Check:
    if found.harm is not None and found.harm.guard == name:
        ruling = found.harm.ruling
    known = bool(np.isfinite(ruling.low))
    return Check(
        name=_NAMES[name],
        status=ruling.status,
        observed=ruling.effect if known else None,
        limit=ruling.margin,
        unit="share",
        interval=Interval(float(ruling.low), float(ruling.high)) if known else _NOTHING,
        evidence=told(name, ruling, counted),
        settle="a longer proving_s" if ruling.status is Status.INCONCLUSIVE else "",
        cause=CAUSES[name] if ruling.status is Status.FAIL else "",
    )


def _switching(found: Found, switch_s: float) -> Check:
    if not found.moves:
        return Check("switch-time", Status.INCONCLUSIVE, None, switch_s, "s", _NOTHING, "nothing was switched",
                     settle="a run that gets to the switch")  # fmt: skip
    slowest = max(found.moves, key=lambda move: move.cost.settled_s)
    status = Status.PASS if slowest.cost.settled_s <= switch_s else Status.FAIL
    to = "green" if slowest.switch.arm else "blue"
    evidence = f"the slowest of {len(found.moves)} switches, to {to}, until no request went the old way any more"
    return Check("switch-time", status, slowest.cost.settled_s, switch_s, "s", _NOTHING, evidence,
                 cause="split-mismatch" if status is Status.FAIL else "")  # fmt: skip


def _lost(found: Found, alpha_fail: float) -> list[Check]:
    """A version is told to end only when it has none of the traffic any more: nothing need be under way then."""
    around = found.around
    tolerated = min(1.0, TOLERATED + around.usual)
    moves = Switched("moves", around.exposed, around.lost)
    checks = [switch_check(moves, alpha=alpha_fail, ended=False, tolerated=tolerated)]
    for arm, lost, under_way in found.ends:
        if arm == 1 and found.taken_back == DOWN:
            continue
        end = Switched(f"in-flight-{'green' if arm else 'blue'}", under_way, lost, routed=True)
        checks.append(switch_check(end, alpha=alpha_fail, ended=True, tolerated=tolerated))
    return [replace(check, cause="dropped-in-flight") if check.status is Status.FAIL else check for check in checks]


def _way_back(found: Found, *, planned: bool) -> Check:
    back = [move for move in found.moves if move.switch.arm == 0]
    if not back:
        return Check("way-back", Status.INCONCLUSIVE, None, None, "s", _NOTHING, "it was not taken",
                     settle="a run that gets that far")  # fmt: skip
    took = back[0].cost.settled_s
    done = planned or bool(found.taken_back)
    what = "it was needed, and open" if found.taken_back else "it was tried, and open"
    return Check("way-back", Status.PASS if done else Status.INCONCLUSIVE, took, None, "s", _NOTHING, what,
                 settle="" if done else "a run that gets to its end")  # fmt: skip
