"""What kafka-delivery found, in sentences and as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from proofload.procedures._kafka_delivery.settings import Settings
from proofload.records import Check, Status
from proofload.verdict.causes import CAUSES
from proofload.verdict.delivery import Stretch, share_bounds

_DONE = {
    "restart": "stopped and started anew",
    "kill": "killed in the midst of its work",
    "join": "joined by another",
    "leave": "left by the older one",
}
_BROKER = "broker-restart"
_VERBS = {"lost": "loses messages", "duplicated": "answers messages twice", "reordered": "answers out of order"}


def headline(target: str, stretches: Sequence[Stretch], checks: Sequence[Check], scenario: Settings) -> tuple[str, ...]:
    """One to three sentences that answer the question asked."""
    found = {check.name: check for check in checks}
    failed = [check for check in checks if check.status is Status.FAIL]
    named = [check for check in failed if check.cause in CAUSES and check.name in _VERBS]
    if named:
        return tuple(
            f"{target} {_VERBS[check.name]}: {check.evidence} What to do: {CAUSES[check.cause].remedy}."
            for check in named
        )
    if failed or any(found[name].status is not Status.PASS for name in ("lost", "duplicated") if name in found):
        return ()
    sent = sum(one.delivery.sent for one in stretches)
    done = list(dict.fromkeys(one.what for one in stretches if one.disturbed_ns))
    parts = (
        [f"its worker was {_listed([_DONE[what] for what in done if what in _DONE])}"] if set(done) & set(_DONE) else []
    )
    parts += ["its broker was restarted"] if _BROKER in done else []
    while_what = f" while {' and '.join(parts)}" if parts else ""
    surplus = sum(one.delivery.duplicated for one in stretches)
    twice = (
        f"{surplus:,} answers came twice, within what {scenario.guarantee} allows"
        if surplus
        else "No answer came twice"
    )
    order = found.get("reordered")
    ordered = ", and none out of order" if order is not None and order.status is Status.PASS else ""
    bound = share_bounds(0, max(1, sent))[1]
    return (
        f"{target} lost none of {sent:,} messages (at most {bound:.2%} at 95 %){while_what}.",
        f"{twice}{ordered}.",
    )


def details(stretches: Sequence[Stretch], stream: Mapping[str, Any], scenario: Settings) -> dict[str, Any]:
    """Plain data for result.json and the report."""
    return {
        "guarantee": scenario.guarantee,
        "broker": stream["broker"],
        "keys": stream["keys"],
        "session_s": stream.get("session_s"),
        "stretches": [_told(one) for one in stretches],
        "lost_examples": [
            {"stretch": one.name, "worker": worker, "row": row}
            for one in stretches
            for worker, row in one.delivery.lost_rows
        ][:20],
    }


def _told(one: Stretch) -> dict[str, Any]:
    found = one.delivery
    return {
        "name": one.name,
        "what": one.what,
        "sent": found.sent,
        "answered": found.answered,
        "late": found.late,
        "lost": found.lost,
        "waiting": found.waiting,
        "undelivered": found.undelivered,
        "duplicated": found.duplicated,
        "beyond_reach": one.beyond_reach,
        "reach_s": one.reach_s,
        "reordered": found.reordered,
        "under_way": one.under_way,
        "stood_still_s": found.stood_still_s,
    }


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
