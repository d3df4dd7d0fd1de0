"""Making the lifetimes of a comparison, one after the other and never two at a time. It goes on where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

import proofload
from proofload.comparing.asked import Asked, Situation
from proofload.comparing.lifetimes import LIFETIMES, Attempt, Made, made
from proofload.comparing.plan import Lifetime, planned
from proofload.errors import InputError, RunFolderError
from proofload.lab import run_scenario
from proofload.progress import Progress
from proofload.resources import ensure_fixtures
from proofload.store.folder import claim, write_json

PLAN = "comparison-plan.json"
PLAN_SCHEMA = "proofload.comparison-plan/1"


def begin(asked: Asked, folder: Path, *, command: str) -> bool:
    """Claim the folder, or find that this very comparison was begun in it: then True, and it goes on.

    Raises InputError where another was, RunFolderError where anything else lies there.
    """
    path = folder / PLAN
    if not path.exists():
        claim(folder)
        write_json(path, _plan(asked, command))
        (folder / LIFETIMES).mkdir()
        return False
    began = plan_in(folder)
    if began["digest"] != asked.digest or began["version"] != proofload.__version__:
        differs = (
            "its targets, scenarios, payloads or settings"
            if began["digest"] != asked.digest
            else "the version of proofload"
        )
        raise InputError(
            f"another comparison was begun in {folder}",
            evidence=f"there it was: {began['command']}; {differs} differ",
            cause="pairs are fixed before the first: adding some after a look makes false verdicts",
            remedy="type the same command to go on, or name a new folder with --out",
        )
    return True


def plan_in(folder: Path) -> dict[str, Any]:
    """What was asked in this folder. Raises RunFolderError for a damaged one."""
    try:
        plan: dict[str, Any] = orjson.loads((folder / PLAN).read_bytes())
        if plan["schema"] != PLAN_SCHEMA:
            raise ValueError(f"schema {plan['schema']!r}")
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise RunFolderError(
            f"{folder / PLAN} cannot be read", evidence=repr(exc), remedy="begin anew in another folder"
        ) from exc
    return plan


def make(asked: Asked, folder: Path, *, command: str, progress: Progress) -> None:
    """Make what is not there yet. Raises what ends it: Ctrl-C, or TargetError for a target that cannot be started."""
    for model in sorted(_models(asked)):
        ensure_fixtures(model, progress.message)
    lifetimes = planned(asked)
    for place, lifetime in enumerate(lifetimes):
        situation = asked.situations[lifetime.situation]
        while not (so_far := made(folder, lifetime)).settled(asked.settings.again):
            if hopeless(situation, folder, lifetimes, lifetime):
                break
            path = so_far.next_path(folder)
            path.mkdir(parents=True)
            told = f"{place + 1} of {len(lifetimes)}, {situation.scenario.name}: {asked.labels[lifetime.option]}"
            progress.message(f"{told}{_again(so_far)}")
            run_scenario(
                lifetime.scenario,
                [lifetime.target],
                canary=situation.canary,
                out=path,
                device=str(asked.device or situation.scenario.device or "cpu"),
                runtime=asked.runtime,
                command=command,
                progress=_Quiet(progress) if situation.paired else progress,
                reports=() if situation.paired else ("html", "md"),
            )


def hopeless(situation: Situation, folder: Path, lifetimes: Sequence[Lifetime], lifetime: Lifetime) -> bool:
    """Whether the first pair showed that no option keeps up with this load: then how long the queue grows is all that
    more of them would show."""
    if not situation.paired or lifetime.pair == 0:
        return False
    first = [one for one in lifetimes if one.situation == lifetime.situation and one.pair == 0]
    return overloaded([found for one in first if (found := made(folder, one).valid) is not None])


def overloaded(first_pair: Sequence[Attempt]) -> bool:
    seen = [one.reading for one in first_pair if one.reading is not None]
    return bool(seen) and not any(one.keeps_up for one in seen)


def _models(asked: Asked) -> set[str]:
    """What has to be built before targets can serve it."""
    every = [target for one in asked.situations for target in (*one.targets, one.canary)]
    return {one.model for one in every if one is not None and one.model is not None and one.uses("fixtures")}


def _plan(asked: Asked, command: str) -> dict[str, Any]:
    return {
        "schema": PLAN_SCHEMA,
        "digest": asked.digest,
        "version": proofload.__version__,
        "labels": asked.labels,
        "settings": asked.settings.model_dump(mode="json"),
        "situations": [
            {
                "scenario": one.scenario.model_dump(mode="json"),
                "paired": one.paired,
                "targets": [target.redacted() for target in one.targets],
            }
            for one in asked.situations
        ],
        "lifetimes": [lifetime.name for lifetime in planned(asked)],
        "command": command,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _again(so_far: Made) -> str:
    if not so_far.attempts:
        return ""
    last = so_far.attempts[-1]
    return f" (again: {last.fate}{': ' + last.why[:160] if last.why else ''})"


class _Quiet:
    """Of many short lifetimes only what moves is shown: the message before each says which it is."""

    def __init__(self, progress: Progress) -> None:
        self.phase_started = progress.phase_started
        self.tick = progress.tick
        self.phase_done = progress.phase_done

    def message(self, text: str) -> None:
        """Left out."""
