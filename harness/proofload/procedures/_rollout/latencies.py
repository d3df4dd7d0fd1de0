"""How long the answers of each version took, side by side: stage by stage, and as the guards on latency see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.guard_rules import SLOWER
from proofload.analysis.guards import MORE, GuardWatch
from proofload.analysis.percentiles import distribution
from proofload.analysis.summary import latencies
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.procedures._rollout.guarding import FAR, slow_keys
from proofload.procedures._rollout.reading import Story
from proofload.records import Distribution, Outcome, Quantile, Samples
from proofload.report import numbers
from proofload.store.result_json import distribution_to_json


@dataclass(frozen=True, slots=True)
class Slow:
    """What a guard on latency calls slow, and what it watches of both versions. Times in ms."""

    quantile: str
    """The one it is named for: p50, p95 or p99."""
    from_ms: float
    """What takes longer is slow."""
    alone_ms: float
    """The baseline's quantile that this is reckoned from, frozen before the canary got any traffic."""
    factor: float
    extra_ms: float
    keys: str
    """The scenario's keys for it."""
    baseline: Quantile | None
    canary: Quantile | None
    """While both served, loaded alike; None: nothing was compared."""

    def told(self) -> str:
        """The quantiles in words, for a check's evidence; empty where so few answers support none."""
        there, beside = self.canary, self.baseline
        if there is None or beside is None or there.value is None or beside.value is None:
            return ""
        its = numbers.quantile(there, limit=self.from_ms)
        return f"{self.quantile} {its} ms, the baseline's {numbers.quantile(beside)} ms"

    def figures(self) -> dict[str, Any]:
        """As plain data: of the quantiles what so few answers support, else None."""
        return {
            "quantile": self.quantile,
            "from_ms": self.from_ms,
            "alone_ms": self.alone_ms,
            "factor": self.factor,
            "extra_ms": self.extra_ms,
            "keys": self.keys,
            "baseline_ms": None if self.baseline is None else self.baseline.value,
            "canary_ms": None if self.canary is None else self.canary.value,
            "canary_censored": self.canary is not None and self.canary.censored,
        }


def slow(watch: GuardWatch, rows: NDArray[np.void], timeout_s: float) -> dict[str, Slow]:
    """By guard. `rows`: users' requests, in order of time. Empty where there was no baseline to freeze."""
    seen = [_spread(part, timeout_s) for part in _compared(watch, rows)]
    found, rules = {}, watch.rules
    for guard, limit_ns in watch.reference.slower_ns.items():
        factor = rules.tail_factor if guard == FAR else 1 + rules.slower
        from_ms = limit_ns / NS_PER_MS
        name = f"p{SLOWER[guard] * 100:.0f}"
        found[guard] = Slow(
            quantile=name,
            from_ms=from_ms,
            alone_ms=max(0.0, (from_ms - rules.slower_ms) / factor),
            factor=factor,
            extra_ms=rules.slower_ms,
            keys=slow_keys(guard),
            baseline=seen[0].quantiles[name] if seen[0].n else None,
            canary=seen[1].quantiles[name] if seen[1].n else None,
        )
    return found


def by_stage(story: Story, rows: NDArray[np.void], timeout_s: float) -> list[dict[str, Any]]:
    """A table's rows, as plain data: the baseline alone (`share` None), then both versions in each stage that began.

    `rows`: users' requests, those of the baseline alone included. Latencies are those of whatever was answered or
    timed out; the shares of what was shed or failed stand beside them.
    """
    due, arm = rows["intended_ns"], rows["arm"]
    spans = story.spans()
    first = min((move.asked_ns for move, _ in spans), default=2**62)
    parts: list[tuple[float | None, str, NDArray[np.bool_]]] = [(None, "baseline", (due < first) & (arm == 0))]
    for move, end_ns in spans:
        inside = (due >= move.done_ns) & (due < end_ns)
        parts += [(move.share, name, inside & (arm == number)) for number, name in enumerate(("baseline", "canary"))]
    found = []
    for share, name, chosen in parts:
        part = rows[chosen]
        if len(part):
            found.append(
                {
                    "share": share,
                    "version": name,
                    "latency": distribution_to_json(_spread(part, timeout_s)),
                    "shed": float(np.mean(part["outcome"] == Outcome.SHED)),
                    "errors": float(np.mean(part["outcome"] == Outcome.ERROR)),
                }
            )
    return found


def in_short(seen: Mapping[str, Any]) -> str:
    """What a guard on latency saw, for a headline. `seen`: `Slow.figures`, and its tally: slow answers of the
    canary, those compared, slow ones among as many of the baseline's."""
    limit = f"{numbers.significant(seen['from_ms'])} ms"
    there, beside = seen["canary_ms"], seen["baseline_ms"]
    if there is not None and beside is not None and there > seen["from_ms"]:
        at_least = "≥ " if seen["canary_censored"] else ""
        return (
            f"{seen['quantile']} {at_least}{numbers.against(there, seen['from_ms'])} ms, the baseline's meanwhile "
            f"{numbers.significant(beside)} ms, and {limit} is tolerated ({seen['keys']})"
        )
    return (
        f"{seen['canary']:,} of {seen['of']:,} took longer than {limit} ({seen['keys']}), {seen['baseline']:,} "
        "of as many of the baseline's"
    )


def _compared(watch: GuardWatch, rows: NDArray[np.void]) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Of the baseline and of the canary: what was due within a block that guards counted. Stages in which the canary
    carried most of the load are left out, as in `guard_margins.excesses`: it may be slower for that alone."""
    starts = np.array([block.start_ns for block in watch.blocks], np.int64)
    if not len(starts) or not len(rows):
        return rows[:0], rows[:0]
    at = np.searchsorted(starts, rows["intended_ns"], "right") - 1
    inside = (at >= 0) & (rows["intended_ns"] < starts[at] + round(watch.rules.block_s * NS_PER_S))
    own = rows[inside]
    stage = np.array([block.window for block in watch.blocks], np.int64)[at[inside]]
    arm = own["arm"] == 1
    size = int(stage.max(initial=0)) + 1
    alike = np.bincount(stage[arm], minlength=size) <= MORE * np.bincount(stage[~arm], minlength=size)
    kept = alike[stage]
    if not (kept & arm).any():
        kept = np.ones(len(own), np.bool_)
    return own[kept & ~arm], own[kept & arm]


def _spread(rows: NDArray[np.void], timeout_s: float) -> Distribution:
    latency, gave_up = latencies(Samples(rows), timeout_s=timeout_s)
    return distribution(latency, censored=gave_up)
