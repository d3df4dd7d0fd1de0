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
from proofload.comparing.readings import Reading, reading
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
    """It is damaged, or the record of another run."""


@dataclass(frozen=True, slots=True)
class Attempt:
    lifetime: Lifetime
    number: int
    """From 1."""
    path: Path
    fate: Fate
    why: str = ""
    result: Result | None = None
    """Of a valid or an invalid one."""
    reading: Reading | None = None
    """Of a valid one of a pair."""


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
    try:
        return _read(lifetime, number, path)
    except RunFolderError as exc:
        return Attempt(lifetime, number, path, Fate.UNUSABLE, f"{exc.what}: {exc.evidence}".removesuffix(": "))
    except (AttributeError, LookupError, TypeError, ValueError) as exc:  # JSON, and not what the lab writes
        return Attempt(lifetime, number, path, Fate.UNUSABLE, f"it is damaged: {exc!r}")


def _read(lifetime: Lifetime, number: int, path: Path) -> Attempt:
    """All that judging will need of it: what is damaged is found here, and nowhere after."""
    record = RunRecord(path)
    if not record.complete or not (path / "result.json").exists():
        return Attempt(lifetime, number, path, Fate.INTERRUPTED, "it was cut short")
    if not _is_of(lifetime, record.run):
        return Attempt(lifetime, number, path, Fate.UNUSABLE, "what was recorded is another run")
    result = record.result
    if result.status is Status.INVALID:
        why = "; ".join(f"{item.code}: {item.detail}" for item in result.validity if not item.ok)
        return Attempt(lifetime, number, path, Fate.INVALID, why, result)
    shown = None if lifetime.pair is None else reading(record, lifetime)
    return Attempt(lifetime, number, path, Fate.VALID, "", result, shown)


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
