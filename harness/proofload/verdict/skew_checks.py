"""Rulings as checks: what was seen, against which limit, and what it is called when it fails."""

from __future__ import annotations

from proofload.records import Check, Status
from proofload.report.numbers import short
from proofload.verdict.skew import Ruling


def check(name: str, ruling: Ruling, told: str, *, cause: str = "", unit: str = "share", things: str = "rows") -> Check:
    """`told` says what was counted, in words; a cause is only of what fails."""
    failed = ruling.status is Status.FAIL
    return Check(
        name=name,
        status=ruling.status,
        observed=ruling.share,
        limit=ruling.limit,
        unit=unit,
        interval=ruling.interval,
        evidence=told,
        settle=_settle(ruling, things),
        cause=cause if failed else "",
    )


def percent(share: float | None) -> str:
    """ "37.2 %"; small shares keep the digits that matter."""
    return "unknown" if share is None else f"{short(100 * share)} %"


def _settle(ruling: Ruling, things: str) -> str:
    if ruling.status is not Status.INCONCLUSIVE:
        return ""
    if ruling.needs is None:
        return f"the share is too near the limit of {percent(ruling.limit)} for more {things} to settle it"
    return f"{ruling.needs:,} {things} in all of which no further one differs (now {ruling.n:,})"
