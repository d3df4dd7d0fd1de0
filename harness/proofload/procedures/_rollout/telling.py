"""How a rollout went, in figures and sentences: times, blast radius, guard values over time."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.guard_rules import ANSWERED, FAILED, TIMED
from proofload.analysis.guards import GuardWatch
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.procedures._rollout.latencies import in_short
from proofload.procedures._rollout.reading import Story
from proofload.records import Check, Outcome, Status
from proofload.verdict.causes import CAUSES

_POINTS = 400
_FOR_A_TAIL = 20
"""Of fewer answers, the largest would be called their p99."""
_NOTHING: Mapping[str, list[float | None]] = {"bad_share": [], "p50_ms": [], "p99_ms": []}


def times(story: Story, rows: NDArray[np.void]) -> dict[str, Any]:
    """Seconds to detect (first share of the canary to the guard's trip) and to roll back (trip to the last request of
    a user sent to the canary; between that and the next one sent to the baseline), with their bounds; None: none."""
    if story.rolled is None or not story.stages:
        return {"detect_s": None, "roll_back_s": None}
    first, trip = story.stages[0].done_ns, story.rolled.t_ns
    back = next((move for move in story.moves if move.asked_ns >= trip), None)
    went, arm = _went_ns(rows), rows["arm"]
    there = went[(went > trip) & (arm == 1)]
    last = int(there.max()) if len(there) else trip
    answered = rows["done_ns"][(rows["arm"] == 1) & np.isin(rows["outcome"], ANSWERED)]
    on = went[(arm == 0) & (went > last)]
    following = int(on.min()) if len(on) else None
    return {
        "detect_s": (trip - first) / NS_PER_S,
        "roll_back_s": (last - trip) / NS_PER_S,
        "roll_back_bounds_s": [
            (last - trip) / NS_PER_S,
            None if following is None else (following - trip) / NS_PER_S,
        ],
        "move_took_s": None if back is None else (back.done_ns - back.asked_ns) / NS_PER_S,
        "last_answer_s": (int(answered.max()) - trip) / NS_PER_S if len(answered) else None,
        "detected_in_share": next((m.share for m in reversed(story.stages) if m.done_ns <= trip), None),
    }


def radius(story: Story, rows: NDArray[np.void], users: NDArray[np.int64]) -> dict[str, Any]:
    """What the canary got to do with: requests of users sent to it, those that went wrong, users touched. Those to
    which it refused a connection are among them. `rows`: none that was never dispatched."""
    until = story.rolled.t_ns if story.rolled is not None else 2**62
    there = rows[rows["arm"] == 1]
    outcome = there["outcome"]
    known = users[there["payload"]] if len(users) else np.zeros(0, np.int64)
    failed = np.isin(outcome, FAILED)
    return {
        "requests": len(there),
        "answered": int(np.count_nonzero(np.isin(outcome, ANSWERED))),
        "wrong": int(np.count_nonzero(outcome == Outcome.WRONG)),
        "failed": int(np.count_nonzero(failed)),
        "users": len(np.unique(known[known >= 0])) if len(known) else None,
        "users_in_all": len(np.unique(users[users >= 0])) if len(users) else None,
        "after_the_trip": int(np.count_nonzero(_went_ns(there) > until)),
        "share_of_all": len(there) / len(rows) if len(rows) else None,
    }


def _went_ns(rows: NDArray[np.void]) -> NDArray[np.int64]:
    """When requests went to their version: when they were sent, or dispatched, where no connection was to be had."""
    went: NDArray[np.int64] = np.where(rows["sent_ns"] > 0, rows["sent_ns"], rows["dispatched_ns"])
    return went


def series(story: Story, watch: GuardWatch, rows: NDArray[np.void], start_ns: int) -> dict[str, Any]:
    """What the picture needs: shares and log10 e-values over seconds since the first phase began."""
    length = watch.rules.block_s
    at = [(block.start_ns - start_ns) / NS_PER_S + length for block in watch.blocks]
    every = max(1, len(at) // _POINTS)
    moves = [
        {"t_s": (move.done_ns - start_ns) / NS_PER_S, "share": move.share, "why": move.why} for move in story.moves
    ]
    rolled = None if story.rolled is None else (story.rolled.t_ns - start_ns) / NS_PER_S
    return {
        "moves": moves,
        "rolled_s": rolled,
        "t_s": at[::every],
        "seconds": seconds(rows, start_ns, length),
        "log10_e": {
            name: [round(float(value) / float(np.log(10)), 4) for value in path[::every]]
            for name, path in watch.paths().items()
        },
    }


def seconds(rows: NDArray[np.void], start_ns: int, length_s: float) -> dict[str, Any]:
    """Both versions by stretches of time: what was not ok, median and p99 latency; None where nothing was seen."""
    if not len(rows):
        return {"t_s": [], "baseline": _NOTHING, "canary": _NOTHING}
    at = (rows["intended_ns"] - start_ns) / NS_PER_S
    span = float(at.max() - at.min()) + 1e-9
    length = max(length_s, span / _POINTS)
    number = ((at - at.min()) / length).astype(np.int64)
    last = int(number.max())
    edges = np.searchsorted(number, np.arange(last + 2))
    found: dict[str, Any] = {"t_s": [round(float(at.min()) + (k + 0.5) * length, 3) for k in range(last + 1)]}
    for arm, name in enumerate(("baseline", "canary")):
        columns: dict[str, list[float | None]] = {"bad_share": [], "p50_ms": [], "p99_ms": []}
        for low, high in itertools.pairwise(edges):
            part = rows[low:high]
            _one(part[part["arm"] == arm], columns)
        found[name] = columns
    return found


def _one(part: NDArray[np.void], columns: dict[str, list[float | None]]) -> None:
    if not len(part):
        for values in columns.values():
            values.append(None)
        return
    columns["bad_share"].append(float(np.mean(part["outcome"] != Outcome.OK)))
    timed = part[np.isin(part["outcome"], TIMED)]
    latency = (timed["done_ns"] - timed["intended_ns"]) / NS_PER_MS
    columns["p50_ms"].append(float(np.quantile(latency, 0.5)) if len(latency) else None)
    columns["p99_ms"].append(float(np.quantile(latency, 0.99)) if len(latency) >= _FOR_A_TAIL else None)


def did_not_start(what: str, why: str) -> str:
    """The sentence about a canary that never came up, with the last line of what is known of the reason."""
    last = why.splitlines()[-1].strip() if why else ""
    return f"The canary never started: {what}{f' ({last})' if last else ''}."


def as_measured(details: Mapping[str, Any]) -> tuple[str, ...]:
    """What was done in a run of which nothing may be concluded: it neither held nor failed."""
    moved = [f"{move['share']:.0%}" for move in details["series"]["moves"] if move["why"].startswith("stage ")]
    if not moved:
        return ("What was done, without a verdict: the canary got no traffic.",)
    end = f"then the guard {details['guard']} took it back" if details["rolled_back"] else "and no guard took it back"
    return (f"What was done, without a verdict: the canary's share moved {' → '.join(moved)}, {end}.",)


def headline(status: Status, checks: Sequence[Check], details: Mapping[str, Any]) -> tuple[str, ...]:
    """One to three sentences about a run that is valid."""
    failed = [check for check in checks if check.status is Status.FAIL]
    if details["rolled_back"]:
        return (_rolled(failed, details), _touched(details))
    if failed:
        causes: dict[str, str] = {}
        for check in failed:
            causes.setdefault(check.cause or check.name, _meaning(check, details))
        first = f"The rollout went through to its end, and yet it failed: {'; '.join(causes.values())}."
        return (first,) if _slow(failed[0], details) else (first, f"{failed[0].evidence}.")
    if status is Status.INCONCLUSIVE:
        open_ones = [check for check in checks if check.status is Status.INCONCLUSIVE]
        said = "; ".join(f"{check.name}: {check.evidence}" for check in open_ones[:2])
        return (f"Inconclusive: the rollout cannot be judged. {said}.",)
    shares = " → ".join(f"{share:.0%}" for share in details["shares"])
    touched = details["radius"]
    ended = any(check.name.startswith("in-flight-") for check in checks)
    switches = (
        "The switches lost none that was on its way."
        if ended
        else "How the versions end was not put to the test: the lab did not start them."
    )
    said = (
        f"The canary held: its share moved {shares}, and no guard tripped on {touched['requests']:,} requests "
        f"({touched['failed']:,} failed{_wrong(details, ', {:,} wrong')})."
    )
    return (said, switches, *_not_compared(details))


def _rolled(failed: Sequence[Check], details: Mapping[str, Any]) -> str:
    taken = details["times"]
    first = next((c for c in failed if details["guard"] in c.name), failed[0] if failed else None)
    cause = _meaning(first, details) if first is not None else f"the guard {details['guard']} tripped"
    high = (taken.get("roll_back_bounds_s") or [None, None])[1]
    until = f" ({1e3 * taken['roll_back_s']:.0f}–{1e3 * high:.0f} ms)" if high is not None else ""
    return (
        f"Rolled back by itself: {cause}. The guard {details['guard']} tripped {taken['detect_s']:.1f} s after the "
        f"canary's first share, at {taken['detected_in_share']:.0%} of the traffic; the last request went to it "
        f"{1e3 * taken['roll_back_s']:.0f} ms later{until}."
    )


def _touched(details: Mapping[str, Any]) -> str:
    seen = details["radius"]
    users = "" if seen["users"] is None else f", of {seen['users']:,} of {seen['users_in_all']:,} users"
    return (
        f"Until then it was sent {seen['requests']:,} requests{users}: {seen['failed']:,} of them failed"
        f"{_wrong(details, ', {:,} were answered wrongly')}."
    )


def _wrong(details: Mapping[str, Any], words: str) -> str:
    """Nothing where nobody could tell: none seen is not none wrong."""
    count = details["radius"]["wrong"]
    return words.format(count) if details["answers_checked"] or count else ""


def _not_compared(details: Mapping[str, Any]) -> tuple[str, ...]:
    if details["answers_checked"] or details["mirrored"]:
        return ()
    told = (
        "Correctness was not checked: no payload says what is expected, and no request was mirrored, so predictions "
        "were not compared. Next: payloads with `expect`, or --set mirror=0.1 where requests may be sent twice."
    )
    return (told,)


def _meaning(check: Check, details: Mapping[str, Any]) -> str:
    """Of a guard on latency with what it saw. One that is not about the median counts slow answers, however slow."""
    seen = _slow(check, details)
    if seen is None or not check.cause:
        return CAUSES[check.cause].meaning if check.cause else f"{check.name} failed"
    shifted = check.cause == "canary-slower"
    what = CAUSES[check.cause].meaning if shifted else "more of the canary's answers are slow than of the baseline's"
    return f"{what}: {in_short(seen)}"


def _slow(check: Check, details: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the guard on latency saw that a check is about; None for any other check."""
    seen: Mapping[str, Any] | None = details["slow"].get(check.name.removeprefix("guard-"))
    return seen
