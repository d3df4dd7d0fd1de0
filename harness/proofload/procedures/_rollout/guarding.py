"""The guards of a rollout, watched live and replayed from the run folder, by the same rules on the same requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.frozen_baseline import Reference, freeze
from proofload.analysis.guard_rules import ANSWERED, Rules
from proofload.analysis.guards import GuardWatch
from proofload.clock import NS_PER_MS
from proofload.procedures._rollout.moving import Trip
from proofload.records import SAMPLE_DTYPE, Samples
from proofload.report import numbers

SETTLED_NS = 50 * NS_PER_MS
"""Blocks begin this long after a move: requests that were dispatched just before it are not mixed in."""
FAR = "slower-tail"
"""The guard on latency that has a factor of its own."""
UNKNOWN = 65_535
"""Stands for a stamp that no answer has borne so far."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """What is known of the two versions before the canary gets any traffic, as plain data."""

    canary_version: str | None
    """The stamp that the canary is to bear, where its target says so."""
    baseline_version: str | None
    same: bool
    """Whether it is the same target twice."""
    answers_checked: bool
    mirrored: bool
    users: NDArray[np.int64]
    """The user of each payload (-1: none named); empty where no payload names one."""
    forced: Sequence[int] = ()
    stamped: bool = False
    """Whether a router stands between that does not say who answered, so that only stamps tell."""

    def rules(self, asked: Rules) -> Rules:
        """The rules, but for the stamps that are still to be seen."""
        return replace(asked, mirrored=self.mirrored, answers_checked=self.answers_checked, forced=self.forced)

    def stamps(self, baseline: Samples, warm_up: Samples, names: Mapping[int, str]) -> tuple[int | None, int | None]:
        """The number of the stamp that each version is to bear, None where nothing can be expected.

        The canary's is what its target file says; of the same target twice, what the baseline bears; else what it
        bore most often while it was warmed.
        """
        numbers = {text: number for number, text in names.items()}
        usual = _most_common(baseline.table, 0)
        expected = usual if self.baseline_version is None else numbers.get(self.baseline_version, UNKNOWN)
        if self.canary_version is not None:
            return expected, numbers.get(self.canary_version, UNKNOWN)
        return expected, expected if self.same else _most_common(warm_up.table, 1)


@dataclass(slots=True)
class Guarding:
    """Looks at requests as they come in; trips when a guard does. The baseline is frozen once all of it is final."""

    deployed: Deployed
    rules: Rules
    warm_up: Samples
    names: Callable[[], Mapping[int, str]]
    """Version stamps by number, as far as they are known now."""
    workers: int = 1
    watch: GuardWatch | None = None
    _span: tuple[int, int] | None = None
    _begun: list[tuple[int, int | None]] = field(default_factory=list)
    _early: list[NDArray[np.void]] = field(default_factory=list)
    _seen_ns: dict[int, int] = field(default_factory=dict)

    def baseline(self, start_ns: int, end_ns: int) -> None:
        """When the baseline had all the traffic."""
        self._span = (start_ns, end_ns)

    def begin(self, done_ns: int) -> None:
        """The share moved."""
        if self.watch is None:
            self._begun.append((done_ns + SETTLED_NS, None))
        else:
            self.watch.begin(done_ns + SETTLED_NS)

    def end(self, asked_ns: int) -> None:
        """The share is about to move."""
        if self.watch is not None:
            self.watch.end(asked_ns)
        elif self._begun:
            self._begun[-1] = (self._begun[-1][0], asked_ns)

    def __call__(self, samples: Samples) -> Trip | None:
        if self.watch is None:
            samples = self._collected(samples)
            if self.watch is None:
                return None
        if not self.watch.add(samples):
            return None
        return self.trip()

    def trip(self) -> Trip | None:
        """The guard that tripped first, if any has."""
        if self.watch is None:
            return None
        found = self.watch.tripped()
        if not found:
            return None
        guard = min(found, key=lambda name: (found[name], name))
        return Trip(guard, told(self.watch, guard))

    def _collected(self, samples: Samples) -> Samples:
        """Keep what comes until all that was due with the baseline alone is final; then freeze it."""
        table = samples.table
        if len(table):
            self._early.append(table)
            for worker in np.unique(table["worker"]):
                latest = int(table["intended_ns"][table["worker"] == worker].max())
                self._seen_ns[int(worker)] = max(latest, self._seen_ns.get(int(worker), 0))
        if self._span is None or len(self._seen_ns) < self.workers or min(self._seen_ns.values()) < self._span[1]:
            return Samples(np.zeros(0, SAMPLE_DTYPE))
        early = Samples(np.concatenate(self._early))
        self._early = []
        self.watch = frozen(
            self.deployed, self.rules, early, self._span, warm_up=self.warm_up, names=self.names(), workers=self.workers
        )
        for start_ns, end_ns in self._begun:
            self.watch.begin(start_ns)
            if end_ns is not None:
                self.watch.end(end_ns)
        return early


def frozen(
    deployed: Deployed,
    rules: Rules,
    samples: Samples,
    span: tuple[int, int],
    *,
    warm_up: Samples,
    names: Mapping[int, str],
    workers: int = 1,
) -> GuardWatch:
    """A watch that compares with the baseline as it was in a span of time."""
    due = samples.table["intended_ns"]
    baseline = samples.where((due >= span[0]) & (due < span[1]))
    stamped = replace(rules, versions=deployed.stamps(baseline, warm_up, names))
    reference = freeze(baseline, stamped, deployed.users) if len(baseline) else Reference({}, {}, {}, (), 0)
    return GuardWatch(stamped, reference, deployed.users, workers, deployed.stamped)


def told(watch: GuardWatch, guard: str) -> str:
    """What a guard saw so far, in words."""
    bad, n, beside = tally(watch, guard)
    if guard in watch.rules.share_guards:
        what = "mirrored predictions differ" if guard == "predictions" else "answers bear another version stamp"
        return f"{bad:,} of {n:,} {what}"
    if guard not in watch.rules.sign_guards:
        return "the canary answered nothing while the baseline did"
    if guard in watch.reference.slower_ns:
        limit = f"{numbers.significant(watch.reference.slower_ns[guard] / NS_PER_MS)} ms ({slow_keys(guard)})"
        return f"{bad:,} of {n:,} to the canary took over {limit}, {beside:,} of as many to the baseline"
    return f"{bad:,} of {n:,} of the canary's requests bad, {beside:,} of as many of the baseline's"


def slow_keys(guard: str) -> str:
    """The scenario's keys for what a guard on latency calls slow."""
    return f"{'tail_factor' if guard == FAR else 'slower'}, slower_ms"


def tally(watch: GuardWatch, guard: str) -> tuple[int, int, int]:
    """(the canary's bad, how many were compared, the baseline's bad among as many) over all blocks."""
    if guard in watch.rules.share_guards:
        return sum(b.counts[guard][0] for b in watch.blocks), sum(b.counts[guard][1] for b in watch.blocks), 0
    if guard not in watch.rules.sign_guards:
        return 0, 0, 0
    seen = [block.matches[guard] for block in watch.blocks]
    return sum(one.canary for one in seen), sum(one.size for one in seen), sum(one.baseline for one in seen)


def versions_in(names: Mapping[tuple[str, int], Any]) -> dict[int, str]:
    """The version stamps among a run folder's names."""
    return {number: str(text) for (kind, number), text in names.items() if kind == "version"}


def _most_common(table: NDArray[np.void], arm: int) -> int | None:
    rows = table[(table["arm"] == arm) & (table["mirror"] == 0) & np.isin(table["outcome"], ANSWERED)]
    stamps = rows["version"][rows["version"] > 0]
    return int(np.bincount(stamps).argmax()) if len(stamps) else None
