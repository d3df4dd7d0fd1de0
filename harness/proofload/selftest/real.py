"""The real level: whole scenarios against servers with a planted defect, and against healthy ones.

Each run is recorded once, stripped of what would give the defect away, and kept; the verdict is computed from
what was kept, by the analysis as it is now. A self-test that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from proofload.discovery import implementations
from proofload.errors import ProofloadError, Unavailable
from proofload.judging import judge
from proofload.lab import run_scenario
from proofload.progress import Progress
from proofload.records import Check, Status
from proofload.resources import ensure_fixtures
from proofload.scenarios import load_scenario
from proofload.selftest import Case
from proofload.selftest.stripping import stripped
from proofload.store.folder import write_json
from proofload.store.record import RunRecord
from proofload.target_model import Target
from proofload.targets import load_target

ALLOW = "PROOFLOAD_ALLOW_FAULTS"
ATTEMPTS = 3
"""How often a run is made that comes out invalid, for then the machine was not quiet, and nothing was judged."""
PASSED = 0.9
"""The part of runs on harmless servers that has to pass."""


@dataclass(frozen=True, slots=True)
class Run:
    """One real run and what was made of it."""

    case: Case
    number: int
    status: Status | None
    """None: it could not be run; `why` says why."""
    causes: tuple[str, ...]
    """What the failed checks name."""
    invalid: tuple[str, ...]
    why: str
    recorded: str
    """The version that recorded it."""
    attempts: int = 1
    """How often it was made, until it was valid or given up."""

    @property
    def right(self) -> bool:
        """A planted defect found and named; a healthy server passed."""
        if not self.case.expect:
            return self.status is Status.PASS
        return self.status is Status.FAIL and bool(set(self.causes) & set(self.case.expect))


def cases(scenario: str | None = None) -> list[Case]:
    """All real cases, or those of one scenario. Raises Unavailable when a file of them cannot be loaded."""
    found: list[Case] = []
    for name, one in implementations("planting").items():
        if one.module is None:
            raise Unavailable(f"the planting {name} cannot be loaded", evidence=one.reason)
        found += [case for case in one.module.create() if scenario in {None, case.scenario}]
    return found


def plan(chosen: Sequence[Case], runs: int, healthy: int) -> Iterator[tuple[Case, int]]:
    """`runs` of each case with a defect, and of each scenario `healthy` without, dealt out among its harmless cases;
    in rounds, so that an interrupted self-test has tried everything about equally often."""
    wanted = {id(case): runs for case in chosen if case.expect}
    for scenario in dict.fromkeys(case.scenario for case in chosen):
        own = [case for case in chosen if case.scenario == scenario and not case.expect]
        wanted |= {id(case): min(1, healthy) for case in own if case.windows_s}
        harmless = [case for case in own if not case.windows_s]
        for place, case in enumerate(harmless):
            wanted[id(case)] = healthy // len(harmless) + (place < healthy % len(harmless))
    for number in range(max(wanted.values(), default=0)):
        for case in chosen:
            if number < wanted[id(case)]:
                yield case, number


def shortfalls(made: Sequence[Run]) -> list[str]:
    """What was promised of real runs and not kept: each defect found and named, no harmless server failed, and nine
    in ten of a scenario's runs on harmless servers passed."""
    told = []
    for run in made:
        planted = run.case.fault or run.case.note or "a defect"
        where = f"{run.case.scenario} on {run.case.target}, run {run.number + 1}"
        if run.case.expect and not run.right:
            told.append(f"{where}: {planted} was not found and named ({run.status or 'not run'})")
        elif not run.case.expect and run.status is Status.FAIL:
            told.append(f"{where}: failed, and nothing harmful was planted")
    for scenario in dict.fromkeys(run.case.scenario for run in made):
        harmless = [run for run in made if run.case.scenario == scenario and not run.case.expect]
        passed = sum(run.right for run in harmless)
        if passed < PASSED * len(harmless):
            told.append(
                f"{scenario}: {passed} of {len(harmless)} runs on harmless servers passed, fewer than nine in ten"
            )
    return told


def folder_of(base: Path, case: Case, number: int) -> Path:
    """Where a run is kept: a name that tells nothing of what is planted."""
    key = orjson.dumps([case.scenario, case.target, case.fault, dict(case.settings), case.everywhere, number])
    return base / f"{case.scenario}-{hashlib.sha256(key).hexdigest()[:12]}"


def recorded(base: Path, case: Case, number: int) -> bool:
    return (folder_of(base, case, number).with_suffix(".json")).exists()


def record(base: Path, case: Case, number: int, *, progress: Progress, version: str) -> None:
    """Run one case and keep what was measured; an earlier attempt, invalid or cut short, is thrown away and counted."""
    folder = folder_of(base, case, number)
    before = orjson.loads(folder.with_suffix(".json").read_bytes())["attempts"] if recorded(base, case, number) else 0
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    note: dict[str, Any] = {
        "fault": case.fault,
        "number": number,
        "version": version,
        "attempts": before + 1,
        "error": "",
    }
    try:
        with _faults_allowed():
            _run(case, folder, number, progress)
        stripped(folder)
    except ProofloadError as exc:
        note["error"] = "; ".join(filter(None, (exc.what, exc.evidence)))[:2000]
    write_json(folder.with_suffix(".json"), note)


def again(run: Run) -> bool:
    """Whether a recorded run is to be made once more."""
    return run.status is Status.INVALID and run.attempts < ATTEMPTS


def seen(base: Path, case: Case, number: int) -> Run:
    """What the analysis makes of a recorded run, now."""
    folder = folder_of(base, case, number)
    note = orjson.loads(folder.with_suffix(".json").read_bytes())
    if note["error"]:
        return Run(case, number, None, (), (), note["error"], note["version"], note["attempts"])
    result = judge(RunRecord(folder))
    failed = [check for check in result.checks if check.status is Status.FAIL]
    return Run(
        case=case,
        number=number,
        status=result.status,
        causes=tuple(dict.fromkeys(check.cause for check in failed if check.cause)),
        invalid=tuple(item.code for item in result.validity if not item.ok),
        why=_why(result.status, result.checks, [item.detail for item in result.validity if not item.ok]),
        recorded=note["version"],
        attempts=note["attempts"],
    )


def _why(status: Status, checks: Sequence[Check], invalid: Sequence[str]) -> str:
    if status is Status.PASS:
        return ""
    if status is Status.INVALID:
        return "; ".join(invalid)
    told = [f"{check.name}: {check.evidence}" for check in checks if check.status is status]
    return "; ".join(told)[:600]


def _run(case: Case, folder: Path, number: int, progress: Progress) -> None:
    own = {key: value for key, value in case.settings.items() if not key.startswith("target.")}
    changes = {key.removeprefix("target."): value for key, value in case.settings.items() if key not in own}
    scenario = load_scenario(case.scenario, quick=True, overrides={"seed": number + 1, **own})
    healthy = load_target(case.target, overrides=changes)
    if healthy.model is not None and healthy.uses("fixtures"):
        ensure_fixtures(healthy.model, progress.message)
    rollout = "canary" in type(scenario).model_fields
    defective = with_fault(healthy, case.fault) if case.fault else healthy
    target = healthy if rollout and not case.everywhere else defective
    run_scenario(
        scenario,
        [target],
        canary=defective.model_copy(update={"name": "second"}) if rollout else None,
        out=folder,
        device="cpu",
        runtime="auto",
        command="",
        progress=progress,
    )


def with_fault(target: Target, fault: str) -> Target:
    """The reference server with a defect planted, however it is started. Raises Unavailable for one that the lab does
    not start."""
    if target.is_external:
        raise Unavailable(
            f"target {target.name} is not started by the lab, so nothing can be planted in it",
            remedy="let the case name a target whose file has [start]",
        )
    changes: dict[str, Any] = {}
    for table in ("start", "container"):
        started = getattr(target, table)
        if started is not None:
            command, env = (*started.command, "--fault", fault), {**started.env, ALLOW: "1"}
            changes[table] = started.model_copy(update={"command": command, "env": env})
    return target.model_copy(update=changes)


@contextmanager
def _faults_allowed() -> Iterator[None]:
    """Some defects are planted in the lab's own parts: a router that forgets its users."""
    before: Mapping[str, str] = dict(os.environ)
    os.environ[ALLOW] = "1"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
