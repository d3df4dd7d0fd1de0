"""Each restart from spawn to steady as a bar, then the quantiles over restarts, and a second instance that joins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from proofload.records import Result
from proofload.report import numbers
from proofload.report.document import Block, Column, Lines, Note, Picture, table
from proofload.report.pictures.cold_start import MOST_BARS, cold_start_picture

if TYPE_CHECKING:
    from proofload.report.document import Table
    from proofload.report.sections.page import Page
    from proofload.report.view import Recorded, RunView

_FIGURES = (
    ("ready_s", "spawn to ready", "s"),
    ("first_correct_s", "spawn to first correct answer", "s"),
    ("steady_s", "spawn to steady", "s"),
    ("opening_worst_ms", "slowest first answer", "ms"),
)
_SPANS = (
    ("before", "one instance"),
    ("starting", "while the second one starts"),
    ("after", "once it has half of the traffic"),
)


def create() -> ColdStartExperiment:
    return ColdStartExperiment()


class ColdStartExperiment:
    title = "From spawn to steady"

    def reduce(self, record: Recorded, result: Result) -> None:
        """All that is drawn stands in the result's details."""

    def blocks(self, page: Page, run: RunView, place: int) -> tuple[Block, ...]:
        del page  # the parts of a bar have colours of their own
        found = run.result.details
        lives = found.get("lives", ())
        if not lives:
            return (Note(f"{run.label}: no restart was seen, so there is nothing to draw."),)
        key = f"cold-start{place}"
        return (
            Picture(
                key=key,
                draw=lambda: cold_start_picture(key, lives, found["ready_limit_s"]),
                alt=f"{run.label}: {len(lives)} restarts as bars. {_told(lives)}",
                caption=f"{run.label}: each bar one restart, its parts named after the instant they lead to, in the "
                "order in which they really came; the black mark is when it said ready. Behind each bar: the slowest "
                f"answer of its first {numbers.plain(found['opening_s'])} s (▲: slower than permitted) or how many "
                "requests failed in it (✕)."
                + (f" The {MOST_BARS} slowest of {len(lives)} are shown." if len(lives) > MOST_BARS else ""),
                sketch=_told(lives),
                wide=True,
            ),
            _quantile_table(found),
            Lines(tuple(_caveats(found))),
            *_joining(found),
            _life_table(lives),
        )


def _told(lives: Sequence[Mapping[str, Any]]) -> str:
    """The restarts in words."""
    ready = sorted(life["ready_s"] for life in lives if life["ready_s"] is not None)
    failing, slow = (sum(life[kind] for life in lives) for kind in ("failing", "slow"))
    times = (
        f"ready after {numbers.significant(ready[0])} to {numbers.significant(ready[-1])} s" if ready else "never ready"
    )
    return f"{len(lives)} restarts, {times}; {failing} with failed and {slow} with slow first requests"


def _quantile_table(found: Mapping[str, Any]) -> Table:
    columns = [Column("restarts of"), Column("n", "number"), Column("figure")]
    columns += [Column(title) for title in ("median", "p90", "p95")]
    rows = [
        (
            "all conditions" if part["condition"] == "all" else part["condition"],
            numbers.count(part["restarts"]),
            f"{name} ({unit})",
            *(_bounded(quantile) for quantile in part[figure]),
        )
        for part in found["quantiles"]
        for figure, name, unit in _FIGURES
    ]
    return table(
        "Quantiles over restarts, with their 95 % bounds (median two-sided, p90 and p95 from above)", columns, rows
    )


def _bounded(quantile: Mapping[str, Any]) -> str:
    if quantile["needs"] is not None:
        return f"not bounded ({quantile['needs']} restarts needed)"
    value = numbers.significant(quantile["value"])
    if quantile["high"] is None:
        return f"{value} (no upper bound: some never got there)"
    if quantile["q"] == 0.5 and quantile["low"] is not None:
        return f"{value} ({numbers.significant(quantile['low'])}–{numbers.significant(quantile['high'])})"
    return f"{value} (≤ {numbers.significant(quantile['high'])})"


_TITLES = {
    "created": "created (s)",
    "started": "started (s)",
    "port_bound": "port (s)",
    "live": "live (s)",
    "ready": "ready (s)",
    "first_answer": "first answer (s)",
    "first_correct": "first correct (s)",
    "last_worker_warm": "last cold (s)",
    "steady": "steady (s)",
}
_OF_CONTAINERS = frozenset({"created", "started"})


def _caveats(found: Mapping[str, Any]) -> list[str]:
    said = []
    if found["unseen_s"] is not None:
        said.append(
            f"Load began {numbers.significant(found['unseen_s'])} s after ready (median): a false readiness that ends "
            "sooner is not seen."
        )
    caches = list(found["page_cache"].values())
    if caches:
        before, after = (max(one[name] for one in caches) / 2**20 for name in ("before_bytes", "after_bytes"))
        stayed = f"{after:,.0f} MiB stayed, because other processes have them mapped" if after else "nothing stayed"
        readable = any(one["files"] for one in caches)
        said.append(
            f"Cold page cache: of {before:,.0f} MiB that the target's files held in it, {stayed}."
            if readable
            else "The page cache stayed as found: no file of the target was readable from here."
        )
    if found["join_impossible"]:
        said.append(f"No second instance joined: {found['join_impossible']}.")
    return said


def _joining(found: Mapping[str, Any]) -> tuple[Block, ...]:
    joining = found["joining"]
    if joining is None:
        return ()
    columns = [
        Column("a second instance joins"),
        *(Column(title, "number") for title in ("requests", "failed", "p50", "p99")),
    ]
    rows = [
        (
            name,
            numbers.count(joining[span]["n"]),
            numbers.count(joining[span]["bad"]),
            *(f"{numbers.significant(joining[span][figure])} ms" for figure in ("p50_ms", "p99_ms")),
        )
        for span, name in _SPANS
    ]
    return (table("Scaling out under load", columns, rows),)


def _life_table(lives: Sequence[Mapping[str, Any]]) -> Table:
    seen = {name for life in lives for name, at in life["instants_s"].items() if at is not None}
    names = [name for name in _TITLES if name in seen or name not in _OF_CONTAINERS]
    titles = [*(_TITLES[name] for name in names), "slowest first (ms)", "failed at first"]
    columns = [Column("restart"), Column("condition"), *(Column(title, "number") for title in titles)]
    rows = []
    for life in lives:
        opening = life["opening"] or {"worst_ms": None, "bad": None}
        instants = [numbers.significant(life["instants_s"].get(name)) for name in names]
        if life["outcome"] != "ready":
            instants[names.index("ready")] = str(life["outcome"])
        worst, bad = numbers.significant(opening["worst_ms"]), numbers.count(opening["bad"])
        rows.append((str(life["number"] + 1), life["condition"], *instants, worst, bad))
    return table("Each restart: instants since its spawn", columns, rows)
