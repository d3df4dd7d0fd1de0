"""Traffic share, guards and rollback on one time axis; both versions beneath; what it cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from proofload.records import Result, Status
from proofload.report import numbers
from proofload.report.document import Block, Column, Note, Picture, table
from proofload.report.pictures.rollout import rollout_picture
from proofload.store.result_json import distribution_from_json

if TYPE_CHECKING:
    from proofload.report.sections.page import Page
    from proofload.report.view import Recorded, RunView


def create() -> RolloutExperiment:
    return RolloutExperiment()


class RolloutExperiment:
    title = "The rollout"

    def reduce(self, record: Recorded, result: Result) -> None:
        """Its details say all."""

    def blocks(self, page: Page, run: RunView, place: int) -> tuple[Block, ...]:
        del page  # the colours are those of two versions, not of targets
        found = run.result.details
        if not found.get("series", {}).get("moves"):
            return (Note(f"{run.label}: the canary got no traffic, so there is nothing to draw."),)
        key = f"rollout{place}"
        limit = found["limit"] / math.log(10)
        tripped = [check.name.removeprefix("guard-") for check in run.result.checks if check.status is Status.FAIL]
        steps = " → ".join(f"{move['share']:.0%}" for move in found["series"]["moves"])
        told = f"canary's share {steps}"
        back = f"; rolled back by the guard {found['guard']}" if found["rolled_back"] else "; not rolled back"
        return (
            Picture(
                key=key,
                draw=lambda: rollout_picture(key, found["series"], limit, tripped=tripped),
                alt=f"{run.label}: {told}{back}. Beneath: each guard's e-value against its threshold, what failed and "
                "how long answers took, for both versions.",
                caption=f"{run.label}. Guards: e-values, on a logarithmic axis; dashed: K/α. Below: baseline "
                "and canary, by block of due time.",
                sketch=told + back,
            ),
            table("What the rollout took", ("what", Column("value", "number"), "meaning"), _figures(found)),
            *_slow(found),
            *_latencies(found),
        )


def _figures(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    times, radius = found["times"], found["radius"]
    rows = []
    if times["detect_s"] is not None:
        rows.append(
            ("time to detect", f"{times['detect_s']:.1f} s", "from the canary's first share to the guard's trip")
        )
        low, high = times["roll_back_bounds_s"]
        bounds = f"{1e3 * low:.0f}–{1e3 * high:.0f} ms" if high is not None else f"≥ {1e3 * low:.0f} ms"
        rows.append(
            ("time to roll back", bounds, "from the trip to the last request sent to it, and the next to the baseline")
        )
        rows.append(("requests after the trip", numbers.count(radius["after_the_trip"]), "sent to it all the same"))
    users = "n/a" if radius["users"] is None else numbers.count(radius["users"])
    of = "payloads name no users" if radius["users_in_all"] is None else f"of {radius['users_in_all']:,}"
    return [
        *rows,
        ("requests it was sent", numbers.count(radius["requests"]), f"{numbers.share(radius['share_of_all'])} of all"),
        ("failed", numbers.count(radius["failed"]), "errors, refused connections, refusals and time-outs among them"),
        ("wrong", *_wrong(found)),
        ("users touched", users, of),
    ]


def _slow(found: Mapping[str, Any]) -> tuple[Block, ...]:
    """What each guard on latency calls slow, why, and how many answers were."""
    rows = [
        (
            guard,
            numbers.significant(one["from_ms"]),
            _reckoned(one),
            *(numbers.count(one[side]) for side in ("canary", "baseline", "of")),
        )
        for guard, one in found.get("slow", {}).items()
    ]
    if not rows:
        return ()
    counts = (Column("canary's", "number"), Column("baseline's", "number"), Column("of as many of each", "number"))
    return (table("Slow answers", ("guard", Column("slow: longer than (ms)", "number"), "that is", *counts), rows),)


def _reckoned(one: Mapping[str, Any]) -> str:
    alone = f"{numbers.significant(one['alone_ms'])} ms, the baseline's {one['quantile']} in the first half of its time"
    return f"{numbers.plain(one['factor'])} × {alone} alone, + {numbers.plain(one['extra_ms'])} ms ({one['keys']})"


def _latencies(found: Mapping[str, Any]) -> tuple[Block, ...]:
    """Both versions side by side; the tables further down are over both together."""
    rows = []
    for one in found.get("latency", ()):
        spread = distribution_from_json(one["latency"])
        cells: list[str] = []
        for name in ("p50", "p95", "p99"):
            quantile = spread.quantiles[name]
            cells += [numbers.quantile(quantile), numbers.interval(quantile.interval)]
        stage = "before it" if one["share"] is None else f"{one['share']:.0%}"
        shares = (numbers.share(one["shed"]), numbers.share(one["errors"]))
        rows.append((stage, one["version"], numbers.count(spread.n), *cells, *shares))
    if not rows:
        return ()
    quantiles = [
        Column(title, "number") for name in ("p50", "p95", "p99") for title in (f"{name} (ms)", "99 % interval")
    ]
    first = (Column("canary's share"), Column("version"), Column("n", "number"))
    said = "Latency by version, from the due time, over ok, wrong, late and timed-out requests"
    return (table(said, (*first, *quantiles, Column("shed", "number"), Column("errors", "number")), rows),)


def _wrong(found: Mapping[str, Any]) -> tuple[str, str]:
    count = found["radius"]["wrong"]
    if not count and not found.get("answers_checked", True):
        return numbers.MISSING, "not checked: no payload says what is expected"
    return numbers.count(count), "answers that differ from the expected ones, stamps included"
