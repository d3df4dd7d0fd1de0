"""Restart after restart: the caches prepared, the instance started, load from the moment it says ready, its end."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from proofload.analysis.openings import Requests, opening
from proofload.analysis.restarts import restarts_for
from proofload.clock import NS_PER_S, Clock
from proofload.engine.client import Stretch
from proofload.errors import InputError
from proofload.procedures import Bench
from proofload.procedures._cold_start import layers
from proofload.procedures._cold_start.page_cache import below, drop, family, files_in_use, files_named
from proofload.procedures._cold_start.processes import look
from proofload.procedures._cold_start.requests import requests_of
from proofload.procedures._cold_start.restarting import Start
from proofload.records import Outcome, Samples

if TYPE_CHECKING:
    from proofload.procedures._cold_start.settings import Settings

GUARDS = 5
"""Kinds of harm that can fail a run; they share its error rate."""
_SLACK = 1.2
_MOST_REST_S = 10.0
STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class Condition:
    """What was cold when an instance started."""

    page_cache: str
    compile_cache: str = ""
    """Empty: the target has none."""

    def told(self) -> str:
        caches = {"page cache": self.page_cache, "compile cache": self.compile_cache}
        return ", ".join(f"{name} {state}" for name, state in caches.items() if state)


def order(scenario: Settings) -> list[Condition]:
    """Conditions of all restarts: equally often, in random order. The first restart finds caches as they are."""
    compile_states = ("warm", "cold") if scenario.compile_cache_env else ("",)
    every = [Condition(page, built) for page, built in itertools.product(scenario.page_cache, compile_states)]
    drawn = list(itertools.islice(itertools.cycle(every), max(0, scenario.restarts - 1)))
    random.Random(scenario.seed).shuffle(drawn)  # noqa: S311  an experiment's order, not a secret
    return [Condition("as found", "as found" if scenario.compile_cache_env else ""), *drawn]


def hopeless_after(scenario: Settings) -> int:
    """Restarts over the limit, from the first one on, that show that more than the tolerated share is."""
    return math.ceil(math.log(scenario.alpha_fail / GUARDS) / math.log(scenario.tolerated_share))


@dataclass(slots=True)
class Lives:
    """Notes one event "restart" for each instance; its samples are the phase of that name."""

    bench: Bench
    scenario: Settings
    start: Start
    clock: Clock
    warm_instance_is_up: bool = False
    hopeless: bool = False
    _files: set[Path] = field(default_factory=set)
    _slow: list[float] = field(default_factory=list)
    """Of each life: its slowest answer in the opening, ms; 0 where that was nothing to speak of."""
    _late: int = 0
    _next: int = 0
    """The number of a restart that none has yet."""
    _began_ns: int = 0
    _longest_ns: int = 0
    _pids: Sequence[int] = ()

    def restart_again_and_again(self) -> None:
        """Leaves the last instance up, and loaded, when one came up."""
        self._began_ns = self.clock.now_ns()
        conditions = order(self.scenario)
        for number, condition in enumerate(conditions):
            began_ns = self.clock.now_ns()
            goes_on = self._one(number, condition, last=number == len(conditions) - 1)
            if not goes_on:
                return
            self._longest_ns = max(self._longest_ns, self.clock.now_ns() - began_ns)

    def steady(self) -> None:
        """The last instance again, for longer: what warm is."""
        self.bench.load(self._stretch("steady", self.scenario.steady_s, measured=True))

    def end(self) -> None:
        """Stop the last instance, if it is up."""
        if self.warm_instance_is_up:
            self.warm_instance_is_up = False
            self.bench.stop(0)

    def rest_one_if_openings_were_slow(self) -> None:
        """Does the slowness pass by itself (it was still loading), or does it await the first request?"""
        slow = [worst for worst in self._slow if worst > 0.0]
        if len(slow) < max(1, len(self._slow) / 2) or self.hopeless:
            return
        rest_s = min(_MOST_REST_S, 1.5 * max(slow) / 1000 + 0.5)
        number = self._next
        if self._up(number, Condition("as found"), rested_s=rest_s):
            self.bench.pause(rest_s)
            self._load(number)
            self.bench.stop(0)

    def _one(self, number: int, condition: Condition, *, last: bool) -> bool:
        """One life. False when it was the last: the plan, the budget or the findings end here."""
        self._next = number + 1
        found, env = self._prepared(number, condition)
        up = self._up(number, found, env=env)
        if not up:
            return not (last or self.hopeless)
        self._load(number)
        self._files |= files_in_use(family(self._pids)) | self._named()
        if last or self.hopeless or (number + 1 >= self._least and self._budget_is_spent()):
            self.warm_instance_is_up = True
            return False
        self.bench.stop(0)
        return True

    def _up(
        self, number: int, condition: Condition, *, rested_s: float = 0.0, env: Mapping[str, str] | None = None
    ) -> bool:
        arrival = self.start(0, env)
        detail: dict[str, Any] = {
            "number": number,
            "page_cache": condition.page_cache,
            "compile_cache": condition.compile_cache,
            "condition": condition.told(),
            "timeline": dict(arrival.timeline),
            "rested_s": rested_s,
        }
        if arrival.server is None:
            problem = arrival.problem
            assert problem is not None  # no server: there is a reason
            if arrival.died and number == 0:
                raise InputError(
                    problem.what, evidence=problem.evidence, cause=problem.cause, remedy=problem.remedy
                ) from problem
            outcome = "died" if arrival.died else "not ready"
            self._note(detail, outcome, arrival.took_s, what=problem.what, evidence=problem.evidence[-2000:])
            self._count_late(number, late=True)
            return False
        self._pids = arrival.server.pids
        detail["processes"] = look(self._pids)
        self._note(detail, "ready", arrival.took_s)
        ready_s = (arrival.timeline["ready_ns"] - arrival.timeline["spawn_ns"]) / NS_PER_S
        self._count_late(number, late=ready_s > self.scenario.ready_limit_s)
        return True

    def _note(self, detail: Mapping[str, Any], outcome: str, took_s: float, **more: Any) -> None:
        self.bench.note("restart", **detail, outcome=outcome, took_s=took_s, **more)

    def _count_late(self, number: int, *, late: bool) -> None:
        self._late += late
        if self._late == number + 1 >= hopeless_after(self.scenario):
            self.hopeless = True

    def _load(self, number: int) -> None:
        seen = self._requests(number)
        self.bench.note("restart-processes", number=number, processes=look(self._pids))
        first = opening(seen, round(self.scenario.opening_s * NS_PER_S))
        later = seen.latency_ms[seen.due_ns >= (int(seen.due_ns[0]) if len(seen) else 0) + _half(self.scenario.load_s)]
        later = later[np.isfinite(later)]
        usual = float(np.median(later)) if len(later) else 0.0
        self._slow.append(first.worst_ms if first.worst_ms > usual + self.scenario.penalty_ms else 0.0)

    def _requests(self, number: int) -> Requests:
        """Load for `load_s`; longer, up to the limit of readiness, where no answer has been right by then."""
        planned_s, longest_s = self.scenario.load_s, self.scenario.load_s + self.scenario.ready_limit_s
        with self.bench.loading(self._stretch(f"restart {number}", longest_s, number=number)) as running:
            tables = [running.taken().table]
            running.wait(planned_s + (running.start_ns - self.clock.now_ns()) / NS_PER_S)
            end_ns = running.start_ns + round(longest_s * NS_PER_S)
            while True:
                tables.append(running.taken().table)
                if any((table["outcome"] == Outcome.OK).any() for table in tables) or self.clock.now_ns() >= end_ns:
                    break
                running.wait(STEP_S)
            running.cut()
        tables.append(running.taken().table)
        return requests_of(Samples(np.sort(np.concatenate(tables), order="intended_ns")))

    def _stretch(self, name: str, duration_s: float, *, number: int = 0, measured: bool = False) -> Stretch:
        scenario = self.scenario
        seed = scenario.seed + 1000 + number
        return Stretch(name, scenario.rate_rps, duration_s, arrival=scenario.arrival, seed=seed, measured=measured)

    @property
    def _least(self) -> int:
        """Restarts without which nothing can pass, however long they take."""
        return restarts_for(self.scenario.quantile, self.scenario.restart_confidence)

    def _budget_is_spent(self) -> bool:
        spent_ns = self.clock.now_ns() - self._began_ns
        return spent_ns + _SLACK * self._longest_ns > self.scenario.restart_budget_s * NS_PER_S

    def _prepared(self, number: int, condition: Condition) -> tuple[Condition, Mapping[str, str]]:
        """The condition as it could really be brought about, and the environment that brings it about."""
        env: dict[str, str] = {}
        if self.scenario.compile_cache_env:
            fresh = condition.compile_cache == "cold"
            folder = self.bench.scratch(f"compile-cache-{number}" if fresh else "compile-cache")
            env[self.scenario.compile_cache_env] = str(folder)
        page_cache = condition.page_cache
        if page_cache == "cold":
            dropped = drop(self._files)
            gone = dropped.before_bytes - dropped.after_bytes
            self.bench.note("page-cache", number=number, **dropped.told())
            if not gone:
                page_cache = "as found"
        return Condition(page_cache, condition.compile_cache), env

    def _named(self) -> set[Path]:
        """Files that its start names: a server that reads its model and closes it again has it no longer open."""
        target = self.bench.target
        assert target is not None  # the restarter asked
        contained = [pid for pid in self._pids if layers.inside(pid)]
        if contained:
            own = {file for pid in contained for path in layers.named(pid) for file in below(path)}
            return own | files_named((), self.scenario.cache_files)
        words = [*target.start.command, *target.start.env.values()] if target.start else []
        return files_named(words, self.scenario.cache_files)


def _half(seconds: float) -> int:
    return round(seconds * NS_PER_S / 2)
