"""Training against serving, feature by feature: the share that differs with its bound, the worst one's pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from proofload.records import Interval, Result, Status
from proofload.report import numbers
from proofload.report.document import Block, Cell, Column, Note, Picture, table
from proofload.report.pictures.skew import Bar, features_picture, pairs_picture
from proofload.report.text import printable

if TYPE_CHECKING:
    from proofload.report.sections.page import Page
    from proofload.report.view import Recorded, RunView

_MOST = 40
"""Features drawn; the rest stand in the table."""
_RANK = {Status.FAIL: 0, Status.INCONCLUSIVE: 1, Status.PASS: 2}


def create() -> SkewExperiment:
    return SkewExperiment()


class SkewExperiment:
    title = "Training against serving"

    def reduce(self, record: Recorded, result: Result) -> Any:
        """Nothing: all of it is in the details."""
        del record, result

    def blocks(self, page: Page, run: RunView, place: int) -> tuple[Block, ...]:
        del page
        details = run.result.details
        if details.get("drift"):
            return _drift(details, run.label, place)
        blocks: list[Block] = []
        if details.get("features"):
            blocks += _parity(details, run.label, place)
        if details.get("golden"):
            blocks.append(_answers(details["golden"], details.get("flips"), run.label))
        if details.get("rows"):
            blocks.append(_rows(details["rows"], details.get("flips"), run.label))
        return tuple(blocks)


def _parity(details: Mapping[str, Any], label: str, place: int) -> list[Block]:
    features = sorted(details["features"], key=lambda one: (_RANK[Status(one["status"])], -(one["share"] or 0.0)))
    bars = [
        Bar(one["name"], one["share"] or 0.0, one["low"] or 0.0, 1.0 if one["high"] is None else one["high"],
            Status(one["status"]), one["cause"])
        for one in features[:_MOST]
    ]  # fmt: skip
    limit = float(details["limit"])
    ill = [bar for bar in bars if bar.status is not Status.PASS]
    blocks: list[Block] = [
        Picture(
            key=f"skew-{place}",
            draw=lambda: features_picture(
                f"skew-{place}", bars, limit, "events whose value differs (logarithmic)", shares=True
            ),
            alt=f"{label}: share of events that differ, by feature. " + _spoken(ill, len(features)),
            caption="Marks: the share that was seen, none at the left edge; bands: its bounds at the verdict's error "
            "rates. Dashed: the share that may differ. Where a fail is about a part of the rows, the share is of that "
            "part. Cross: fail; diamond: inconclusive; dot: pass.",
            sketch=_spoken(ill, len(features)),
        )
    ]
    worst = details.get("worst") or {}
    if worst.get("training"):
        name = printable(worst["name"], 40)
        blocks.append(
            Picture(
                key=f"skew-pairs-{place}",
                draw=lambda: pairs_picture(f"skew-pairs-{place}", dict(worst)),
                alt=f"{label}: {name} in training and in serving, event by event.",
                caption=f"{name}, some hundred events. Where both pipelines agree, dots lie on the line.",
            )
        )
    blocks.append(_feature_table(features, label))
    examples = [(one["name"], *example) for one in features if one["status"] == "fail" for example in one["examples"]]
    if examples:
        columns: list[Column | str] = ["feature", "event", Column("training", "number"), Column("serving", "number")]
        shown = [tuple(printable(cell, 60) for cell in example) for example in examples[:30]]
        blocks.append(table(f"{label}: events to look at", columns, shown))
    return blocks


def _feature_table(features: Sequence[Mapping[str, Any]], label: str) -> Block:
    columns: list[Column | str] = [
        "feature",
        Column("parity", "state"),
        Column("differs", "number"),
        Column("bounds", "number"),
        Column("events", "number"),
        Column("missing in one", "number"),
        Column("other type", "number"),
        Column("other value", "number"),
        "what it is",
    ]
    rows: list[tuple[Cell, ...]] = []
    for one in features:
        cause = f"{one['cause']}: " if one["cause"] else ""
        where = f" (of the {one['where']})" if one["where"] else ""
        rows.append(
            (
                printable(one["name"], 40),
                Status(one["status"]),
                numbers.share(one["share"]),
                numbers.share_interval(Interval(one["low"], one["high"])),
                numbers.count(one["events"]),
                numbers.count(one["null"]),
                numbers.count(one["type"]),
                numbers.count(one["value"]),
                printable(f"{cause}{one['says']}{where}", 200),
            )
        )
    return table(f"{label}: parity, feature by feature", columns, rows)


def _answers(golden: Mapping[str, Any], flips: Mapping[str, Any] | None, label: str) -> Block:
    rows = [
        ("predictions compared", numbers.count(golden["of"])),
        ("not as expected", numbers.count(golden["wrong"])),
        ("of these, looked into", numbers.count(golden["traced"])),
        ("right for a request in flight at the same time", numbers.count(golden["in_flight"])),
        ("of these by coincidence, on average", numbers.significant(golden["in_flight_by_chance"])),
        ("right for the same values in another order", numbers.count(golden["permuted"])),
        ("right for another event of the same user", numbers.count(golden["same_user"])),
        ("right for some other request", numbers.count(golden["elsewhere"])),
        *_flipped(flips),
    ]
    return table(f"{label}: predictions", ["what", Column("answers", "number")], rows)


def _rows(rows: Mapping[str, Any], flips: Mapping[str, Any] | None, label: str) -> Block:
    shown = [("rows joined", numbers.count(rows.get("joined")))]
    for side in ("training", "serving"):
        about = rows.get(side, {})
        share = about.get("share", 1.0)
        sampled = f" (a sample of {numbers.share(share)})" if share < 1 else ""
        shown.append(
            (f"rows of {side}: {printable(about.get('file', ''), 40)}{sampled}", numbers.count(about.get("rows")))
        )
        shown.append((f"rows of {side} without an id", numbers.count(about.get("without_key"))))
        shown.append((f"rows of {side} that repeat an id", numbers.count(rows.get(f"repeated_{side}"))))
    shown.append(("ids of training that serving lacks", numbers.count(rows.get("missing"))))
    shown.append(("ids of serving that training lacks", numbers.count(rows.get("unknown"))))
    return table(f"{label}: rows", ["what", Column("rows", "number")], [*shown, *_flipped(flips)])


def _flipped(flips: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if not flips:
        return []
    threshold = numbers.plain(flips["threshold"])
    return [
        (f"decisions that flip at {threshold}", numbers.significant(flips["flipped"])),
        ("of these from below to above", numbers.significant(flips["raised"])),
    ]


def _drift(details: Mapping[str, Any], label: str, place: int) -> tuple[Block, ...]:
    found = sorted(details["drift"], key=lambda one: (_RANK[Status(one["status"])], -one["effect"]))
    bars = [
        Bar(one["name"], one["effect"], one["low"], one["high"], Status(one["status"]), one["cause"])
        for one in found[:_MOST]
    ]
    ill = [bar for bar in bars if bar.status is not Status.PASS]
    picture = Picture(
        key=f"skew-{place}",
        draw=lambda: features_picture(
            f"skew-{place}", bars, float(details["limit"]), "difference of distributions (0 to 1)", shares=False
        ),
        alt=f"{label}: difference of distributions, by feature. " + _spoken(ill, len(found)),
        caption="Marks: Kolmogorov–Smirnov distance of numbers, total variation of categories, or the difference of "
        "the shares missing, whichever is larger; bands: its bounds. Dashed: what would matter.",
        sketch=_spoken(ill, len(found)),
    )
    columns: list[Column | str] = [
        "feature", Column("drift", "state"), Column("effect", "number"), "measure", Column("bounds", "number"),
        Column("PSI", "number"), Column("PSI by chance (95 %)", "number"),
        Column("Jensen–Shannon divergence", "number"),
        Column("Wasserstein distance", "number"), Column("p", "number"), Column("worth rows", "number"), "what it is",
    ]  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            printable(one["name"], 40),
            Status(one["status"]),
            numbers.significant(one["effect"]),
            one["measure"],
            numbers.interval(Interval(one["low"], one["high"])),
            numbers.significant(one["psi"]),
            numbers.significant(one["psi_by_chance"]),
            numbers.significant(one["divergence"]),
            numbers.significant(one["wasserstein"]),
            "< 0.000001" if one["p_value"] < 1e-6 else numbers.significant(one["p_value"]),
            " / ".join(numbers.count(side) for side in one["effective"]),
            printable(": ".join(filter(None, (one["cause"], one["says"]))), 160),
        )
        for one in found
    ]
    note = Note(f"{label}: rows could not be compared one by one, because {printable(details['why'], 120)}.")
    return (note, picture, table(f"{label}: drift, feature by feature", columns, rows))


def _spoken(ill: Sequence[Bar], total: int) -> str:
    if not ill:
        return f"All {total} features agree."
    shown = ", ".join(f"{printable(bar.name, 40)} {numbers.share(bar.value)}" for bar in ill[:6])
    return f"Not well: {shown}{' and others' if len(ill) > 6 else ''}; {total - len(ill)} of {total} agree."
