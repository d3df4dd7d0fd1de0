"""The run folders of a comparison, and what became of each lifetime: read back from what lies there.

DIR/comparison-plan.json           what was asked, so that only the same comparison goes on
DIR/lifetimes/load-03-a-flask      a run folder; made again: load-03-a-flask.2
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from proofload.comparing.plan import Lifetime
from proofload.errors import RunFolderError
from proofload.placeholders import names_in
from proofload.records import Result, Status
from proofload.store.record import RunRecord

LIFETIMES = "lifetimes"


class Fate(StrEnum):
    """What became of one attempt at a lifetime."""

    VALID = "valid"
    INVALID = "invalid"
    INTERRUPTED = "interrupted"
    NOT_STARTED = "not started"
    UNUSABLE = "unusable"
    """It ended, and what lies there is not this lifetime's record."""


@dataclass(frozen=True, slots=True)
class Attempt:
    lifetime: Lifetime
    number: int
    """From 1."""
    path: Path
    fate: Fate
    why: str = ""
    record: RunRecord | None = None
    """Of a valid or an invalid one."""

    @property
    def result(self) -> Result:
        assert self.record is not None
        return self.record.result


@dataclass(frozen=True, slots=True)
class Made:
    """All attempts at one lifetime, in order."""

    lifetime: Lifetime
    attempts: tuple[Attempt, ...]

    @property
    def valid(self) -> Attempt | None:
        return next((one for one in self.attempts if one.fate is Fate.VALID), None)

    def counted(self, fate: Fate) -> int:
        return sum(one.fate is fate for one in self.attempts)

    def settled(self, again: int) -> bool:
        """Nothing more is to be made: it is valid, or was made again as often as may be."""
        return self.valid is not None or self.counted(Fate.INVALID) + self.counted(Fate.UNUSABLE) > again

    def next_path(self, folder: Path) -> Path:
        return _path(folder, self.lifetime, len(self.attempts) + 1)


def made(folder: Path, lifetime: Lifetime) -> Made:
    """What there is of a lifetime."""
    return Made(lifetime, tuple(_attempts(folder, lifetime)))


def _attempts(folder: Path, lifetime: Lifetime) -> Iterator[Attempt]:
    number = 1
    while (path := _path(folder, lifetime, number)).exists():
        yield _looked_at(lifetime, number, path)
        number += 1


def _looked_at(lifetime: Lifetime, number: int, path: Path) -> Attempt:
    if not (path / "run.json").exists():
        return Attempt(lifetime, number, path, Fate.NOT_STARTED, "nothing was recorded")
    record = RunRecord(path)
    try:
        result = record.result
    except RunFolderError as exc:
        return Attempt(lifetime, number, path, Fate.INTERRUPTED, exc.what)
    doubts = [item for item in result.validity if not item.ok]
    if not record.complete:
        return Attempt(lifetime, number, path, Fate.INTERRUPTED, "it was cut short")
    if not _is_of(lifetime, record.run):
        return Attempt(lifetime, number, path, Fate.UNUSABLE, "it holds another run")
    if result.status is Status.INVALID:
        why = "; ".join(f"{item.code}: {item.detail}" for item in doubts)
        return Attempt(lifetime, number, path, Fate.INVALID, why, record)
    return Attempt(lifetime, number, path, Fate.VALID, "", record)


def _is_of(lifetime: Lifetime, run: Mapping[str, Any]) -> bool:
    """Whether a run was made of this lifetime: a folder may have been copied over another's."""
    asked = {"scenario": lifetime.scenario.model_dump(mode="json"), "target": lifetime.target.redacted()}
    asked["target"].pop("source")
    return agrees(asked, run)


def agrees(asked: Any, recorded: Any) -> bool:
    """Whether all that was asked was recorded; what is put in a placeholder's stead is anything."""
    if isinstance(asked, dict):
        return isinstance(recorded, dict) and all(agrees(value, recorded.get(key)) for key, value in asked.items())
    if isinstance(asked, list):
        return isinstance(recorded, list) and len(asked) == len(recorded) and all(map(agrees, asked, recorded))
    return bool(asked == recorded) or (isinstance(asked, str) and any(names_in(asked)))


def _path(folder: Path, lifetime: Lifetime, number: int) -> Path:
    return folder / LIFETIMES / (lifetime.name if number == 1 else f"{lifetime.name}.{number}")
