"""Each metric's difference with its interval against its margin; the looks over time where there were several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from proofload.records import Interval, Result, Status
from proofload.report import numbers
from proofload.report.document import Block, Column, Note, Picture, table
from proofload.report.pictures.versions import Bar, intervals_picture, looks_picture

if TYPE_CHECKING:
    from proofload.report.sections.page import Page
    from proofload.report.view import Recorded, RunView


def create() -> AbTestExperiment:
    return AbTestExperiment()


class AbTestExperiment:
    title = "The second version against the first"

    def reduce(self, record: Recorded, result: Result) -> None:
        """Its details say all."""

    def blocks(self, page: Page, run: RunView, place: int) -> tuple[Block, ...]:
        del page  # the colours are those of two versions, not of targets
        metrics = [one for one in run.result.details.get("metrics", ()) if one["effect"] is not None]
        if not metrics:
            return (Note(f"{run.label}: no metric was compared, so there is nothing to draw."),)
        bars = [_bar(one) for one in metrics]
        key, looks_key = f"ab{place}", f"ab-looks{place}"
        blocks: list[Block] = [
            Picture(
                key=key,
                draw=lambda: intervals_picture(key, bars),
                alt=f"{run.label}: each metric's difference against its margin. " + " ".join(map(_said, metrics)),
                caption=f"{run.label}: the second version less the first, in margins, turned so that worse is to the "
                "right. Bars: bounds (1 % beyond either end; what fails, at the error rate of a fail). Dashed: the "
                "margin. A cross fails, a diamond is open.",
                sketch="; ".join(f"{one['metric']}: {one['says']}" for one in metrics),
            )
        ]
        primary = metrics[0]
        if len(primary["looks"]) > 1:
            blocks.append(
                Picture(
                    key=looks_key,
                    draw=lambda: looks_picture(
                        looks_key, primary["looks"], primary["margin"], primary["unit"],
                        run.result.details["stretch_s"],
                    ),
                    alt=f"{run.label}: the difference in {primary['metric']} and its bounds at each of "
                    f"{len(primary['looks'])} looks; at the last: {_range(primary)} {primary['unit']}.",
                    caption=f"{run.label}: {primary['metric']} at every look. The bounds hold for all looks together. "
                    "Dashed: the margin.",
                )
            )  # fmt: skip
        return (*blocks, _table(metrics), *_assigned(run.result.details.get("assigned")))


def _bar(one: Mapping[str, Any]) -> Bar:
    """In margins; of a metric that should be high, less is worse."""
    low, high = one["interval"]
    margin, effect = one["margin"], one["effect"]
    if one["direction"] == "higher":
        effect, low, high = -effect, None if high is None else -high, None if low is None else -low
    return Bar(
        name=one["metric"].replace("_", " "),
        effect=effect / margin,
        low=None if low is None else low / margin,
        high=None if high is None else high / margin,
        status=one["status"],
        two_sided=one["direction"] == "same",
    )


def _table(metrics: Sequence[Mapping[str, Any]]) -> Block:
    rows = [
        (
            one["metric"].replace("_", " "),
            Status(one["status"]),
            one["says"],
            numbers.significant(one["baseline"]),
            numbers.significant(one["effect"]),
            _range(one),
            numbers.significant(one["margin"]),
            numbers.count(sum(one["users"])),
            numbers.count(2 * one["plan"]["users_needed"]),
            numbers.significant(one["plan"]["smallest_found"]),
        )
        for one in metrics
    ]
    columns = (
        "metric", Column("verdict", "state"), "says", Column("first version", "number"),
        Column("difference", "number"), Column("bounds", "number"), Column("margin", "number"),
        Column("users", "number"), Column("users planned", "number"), Column("smallest harm found", "number"),
    )  # fmt: skip
    return table("What was compared, and what was planned beforehand", columns, rows)


def _assigned(assigned: Mapping[str, Any] | None) -> tuple[Block, ...]:
    if not assigned:
        return ()
    text = (
        f"Assigned by {assigned['by']}: {assigned['baseline']:,} to the first version, {assigned['canary']:,} to the "
        f"second ({numbers.share(assigned['share'])} were asked for); {assigned['on_both']:,} were seen on both."
    )
    return (Note(text),)


def _range(one: Mapping[str, Any]) -> str:
    return numbers.interval(Interval(*one["interval"]))


def _said(one: Mapping[str, Any]) -> str:
    return f"{one['metric']}: {one['says']}, {numbers.significant(one['effect'])} ({_range(one)})."
