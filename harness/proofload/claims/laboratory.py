"""What an experiment needs of the lab: short runs of one load against several servers in turn, each a run folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from proofload.discovery import module_for
from proofload.errors import RunFolderError
from proofload.lab import run_scenario
from proofload.progress import Progress
from proofload.records import Phase, PhaseSummary, Quantile, Result, Samples
from proofload.resources import ensure_fixtures
from proofload.scenarios import Scenario
from proofload.store.folder import claim as claim_folder
from proofload.store.record import RunRecord, Series
from proofload.target_model import Target
from proofload.targets import load_target

QUICK = 0.4
"""The part of their duration that experiments take with --quick."""
FEWEST = 60
"""Requests that a median is worth measuring by: so many even then."""
WARM_S = 1.0
LIFETIMES, QUICK_LIFETIMES = 5, 3
"""Of each server: with two, an interval over lifetimes would be as wide as no knowledge."""
KEPT = "proofload-claim.json"
"""In the folder of an experiment: makes it ours, and holds what was measured once it is."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One server under one load."""

    target: str
    rate_rps: float
    duration_s: float
    model: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the target file, dotted, in place of its own."""
    arrival: str = "poisson"
    payloads: Path | None = None
    timeout_s: float = 5.0
    quick_s: float | None = None
    """With --quick, where the usual part of `duration_s` would show nothing."""


class Run:
    """One lifetime of a server under its load, as it was recorded."""

    def __init__(self, folder: Path) -> None:
        self.record = RunRecord(folder)

    @property
    def result(self) -> Result:
        return self.record.result

    @property
    def summary(self) -> PhaseSummary:
        [main] = [phase for phase in self.result.phases if phase.measured]
        return main

    @property
    def phase(self) -> Phase:
        [main] = [phase for phase in self.record.phases if phase.measured]
        return main

    @cached_property
    def samples(self) -> Samples:
        return self.record.samples(self.phase.index)

    @cached_property
    def readings(self) -> Mapping[tuple[int, str, str], Series]:
        return self.record.readings()

    def latency(self, name: str) -> Quantile:
        """The percentile of that name, from the due time on."""
        return self.summary.latency.quantiles[name]

    @property
    def doubts(self) -> tuple[str, ...]:
        """The codes of what made it invalid, and wrong answers, which are no answers."""
        wrong = ("wrong-answers",) if self.summary.outcomes["wrong"] else ()
        return (*(item.code for item in self.result.validity if not item.ok), *wrong)


class Laboratory:
    """One experiment's. `folder` is its own; runs that an earlier attempt left there are thrown away (what it measured
    stands until there is something better), and of anybody else nothing: raises RunFolderError."""

    def __init__(self, folder: Path, progress: Progress, *, quick: bool, device: str = "cpu") -> None:
        self.folder = folder
        self.progress = progress
        self.device = device
        self.quick = quick
        if not (folder / KEPT).is_file():
            claim_folder(folder)
        try:
            (folder / KEPT).touch()
            for path in folder.iterdir():
                if path.name != KEPT:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        except OSError as exc:
            raise RunFolderError(
                f"what an earlier attempt left in {folder} cannot be removed", evidence=str(exc), remedy="remove it"
            ) from exc

    def in_turn(self, **arms: Arm) -> dict[str, list[Run]]:
        """Each arm in as many lifetimes, the order turned round from one round to the next."""
        found: dict[str, list[Run]] = {name: [] for name in arms}
        for number in range(QUICK_LIFETIMES if self.quick else LIFETIMES):
            for name in list(arms) if number % 2 == 0 else reversed(arms):
                found[name].append(self._run(f"{name}-{number + 1}", arms[name], seed=number + 1))
        return found

    def target(self, arm: Arm) -> Target:
        """The arm's target with its model built, its placeholders still in place."""
        changes = dict(arm.changes) | ({} if arm.model is None else {"model": arm.model})
        pool = None if arm.payloads is None else str(arm.payloads)
        target = load_target(arm.target, payloads=pool, overrides=changes)
        if target.model is not None and target.uses("fixtures"):
            ensure_fixtures(target.model, self.progress.message)
        return target

    def _duration_s(self, arm: Arm) -> float:
        if not self.quick:
            return arm.duration_s
        return arm.quick_s or max(QUICK * arm.duration_s, min(arm.duration_s, FEWEST / arm.rate_rps))

    def _run(self, name: str, arm: Arm, *, seed: int) -> Run:
        folder = self.folder / name
        folder.mkdir()
        settings: type[Scenario] = module_for("procedure", "load").Settings
        duration_s = self._duration_s(arm)
        scenario = settings(
            name="claim", procedure="load", arrival=arm.arrival, rate_rps=arm.rate_rps, duration_s=duration_s,
            warmup_s=WARM_S, timeout_s=arm.timeout_s, seed=seed,
        )  # fmt: skip
        self.progress.message(f"{self.folder.name}: {name}, {arm.rate_rps:g}/s for {duration_s:g} s")
        run_scenario(
            scenario,
            [self.target(arm)],
            out=folder,
            device=self.device,
            runtime="auto",
            command="",
            progress=self.progress,
            reports=(),  # `proofload report FOLDER` makes one
        )
        return Run(folder)


def refuse_foreign(folder: Path) -> None:
    """Raises RunFolderError for a folder that holds anything and that no experiment made."""
    if folder.exists() and not (folder / KEPT).is_file():
        claim_folder(folder)


def doubts(*groups: Sequence[Run]) -> tuple[str, ...]:
    """Of all these runs, each once."""
    return tuple(dict.fromkeys(doubt for group in groups for run in group for doubt in run.doubts))
