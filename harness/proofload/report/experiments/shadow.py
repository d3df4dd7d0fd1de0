"""Users with and without copies, block by block; the copies beside them; what was compared against its tolerance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from proofload.records import Interval, Result, Status
from proofload.report import numbers
from proofload.report.document import Block, Column, Note, Picture, table
from proofload.report.pictures.versions import Bar, shadow_picture

if TYPE_CHECKING:
    from proofload.report.sections.page import Page
    from proofload.report.view import Recorded, RunView

_NAMES = {
    ("impact", "median_ms"): "users: median",
    ("impact", "tail_share"): "users: far slower",
    ("impact", "failed_share"): "users: failures",
    ("shadow", "median_ms"): "copies: median",
    ("shadow", "tail_share"): "copies: far slower",
    ("shadow", "failed_share"): "copies: failures",
}


def create() -> ShadowExperiment:
    return ShadowExperiment()


class ShadowExperiment:
    title = "The shadow beside its primary"

    def reduce(self, record: Recorded, result: Result) -> None:
        """Its details say all."""

    def blocks(self, page: Page, run: RunView, place: int) -> tuple[Block, ...]:
        del page  # the colours are those of two versions, not of targets
        found = run.result.details
        if not found.get("blocks"):
            return (Note(f"{run.label}: nothing was mirrored, so there is nothing to draw."),)
        bars = [_bar(name, found[side][metric]) for (side, metric), name in _NAMES.items()]
        share, agreement = found["disagreement"], "no pair of answers could be compared"
        if share["share"] is not None:
            tolerated = share["tolerated"]
            agreed = next((check for check in run.result.checks if check.name == "agreement"), None)
            status = "inconclusive" if agreed is None else agreed.status.value
            bars.insert(3, Bar("copies: disagree", share["share"] / tolerated, share["low"] / tolerated,
                               share["high"] / tolerated, status))  # fmt: skip
            agreement = f"{found['different']:,} of {found['pairs']:,} pairs of answers differ"
        key = f"shadow{place}"
        return (
            Picture(
                key=key,
                draw=lambda: shadow_picture(key, found["blocks"], bars),
                alt=f"{run.label}: users' median latency with and without copies in {len(found['blocks'])} blocks of "
                f"time, and the copies'; {agreement}.",
                caption=f"{run.label}: above, medians by block of time. Below, what was compared, in tolerances: "
                "beyond the dashed line is harm. A cross fails, a diamond is open.",
                sketch=agreement,
            ),
            _table(found),
            Note(f"{agreement}, over {found['distinct_inputs']:,} different inputs."),
        )


def _bar(name: str, one: Mapping[str, Any]) -> Bar:
    margin = one["margin"]
    return Bar(
        name,
        one["effect"] / margin,
        None if one["low"] is None else one["low"] / margin,
        None if one["high"] is None else one["high"] / margin,
        one["status"],
    )


def _table(found: Mapping[str, Any]) -> Block:
    rows = []
    for (side, metric), name in _NAMES.items():
        one = found[side][metric]
        shares = metric != "median_ms"
        show = numbers.share if shares else numbers.significant
        bounds = Interval(one["low"], one["high"])
        rows.append(
            (
                name,
                Status(one["status"]),
                f"{show(one['usual'])}{'' if shares else ' ms'}",
                _signed(one["effect"], shares=shares),
                numbers.interval(bounds) if not shares else _points(bounds),
                _signed(one["margin"], shares=shares),
            )
        )
    columns = ("what", Column("verdict", "state"), Column("otherwise", "number"), Column("difference", "number"),
               Column("bounds", "number"), Column("tolerated", "number"))  # fmt: skip
    return table("Copies against their originals; users with copies against users without", columns, rows)


def _signed(value: float, *, shares: bool) -> str:
    return f"{numbers.significant(100 * value)} points" if shares else f"{numbers.significant(value)} ms"


def _points(bounds: Interval) -> str:
    return numbers.interval(
        Interval(None if bounds.low is None else 100 * bounds.low, None if bounds.high is None else 100 * bounds.high)
    )
