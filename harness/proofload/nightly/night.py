"""One night's folder: what was planned, and what has been done of it.

nights/2026-11-21/night.json            the plan, the cells in their order, when it began
nights/2026-11-21/cells/NAME/           a cell's run folder
nights/2026-11-21/cells/NAME.error      why a cell has none
nights/2026-11-21/cells/NAME.cut-1/     a run that was cut short, before it was made again
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from proofload.errors import InputError, ProofloadError, RunFolderError
from proofload.nightly.plan import Cell, Planned, in_order
from proofload.store.folder import write_json
from proofload.store.record import RunRecord

SCHEMA = "proofload.night/1"
_RECORD = "night.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_STALE = timedelta(hours=20)
"""A night that began longer ago than this is not gone on with unless it is named."""


@dataclass(frozen=True, slots=True)
class Night:
    """A night that was begun, or is about to be."""

    folder: Path
    began_at: str
    """ISO 8601, UTC."""
    cells: tuple[Cell, ...]
    """In the order in which they are run."""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def begun(self) -> bool:
        return (self.folder / _RECORD).is_file()

    def run_folder(self, cell: Cell) -> Path:
        return self.folder / "cells" / cell.name

    def error_file(self, cell: Cell) -> Path:
        return self.folder / "cells" / f"{cell.name}.error"

    def missing(self) -> list[Cell]:
        """Cells that were never tried, or whose run was cut short."""
        return [
            cell for cell in self.cells if not self.error_file(cell).exists() and not is_done(self.run_folder(cell))
        ]

    def set_aside(self, cell: Cell) -> None:
        """What a run that was cut short has left stays, under another name."""
        folder, number = self.run_folder(cell), 1
        while (aside := folder.with_name(f"{folder.name}.cut-{number}")).exists():
            number += 1
        if folder.exists():
            folder.rename(aside)


def is_done(folder: Path) -> bool:
    """Whether a run came to its end and was judged."""
    if not (folder / "result.json").is_file():
        return False
    try:
        return RunRecord(folder).complete
    except RunFolderError:
        return False


def tonight(out: Path, planned: Planned, name: str | None, now: datetime) -> Night:
    """The night of that name, or: the last one if it is unfinished and young, else a new one, which `begin` writes
    down. Raises InputError; writes nothing."""
    if name is not None and not _NAME.fullmatch(name):
        raise InputError(f"--night {name!r} cannot be a folder's name", remedy="letters, digits and . _ - will do")
    cells, before = planned.cells(), nights(out)  # a slip in the plan is told, too, where a night is gone on with
    if name is None and before and before[-1].missing() and _is_young(before[-1], now):
        return before[-1]
    for night in before:
        if night.name == name:
            return night
    folder = out / "nights" / (name or _free_name(out, now))
    if folder.exists():
        raise InputError(f"{folder} is there, and is no night", evidence="its night.json is missing, or cannot be read",
                         remedy="choose another name with --night, or move that folder away")  # fmt: skip
    order = in_order(cells, folder.name)
    return Night(folder, now.astimezone(UTC).isoformat(timespec="seconds"), tuple(order))


def begin(night: Night, planned: Planned) -> None:
    """Write down what the night is to do, unless it was begun before. Raises InputError where it cannot be written."""
    if night.begun:
        return
    try:
        (night.folder / "cells").mkdir(parents=True)
    except OSError as exc:
        raise InputError(f"cannot make {night.folder}", evidence=str(exc), remedy="name another folder with --out"
                         ) from exc  # fmt: skip
    write_json(
        night.folder / _RECORD,
        {
            "schema": SCHEMA,
            "night": night.name,
            "began_at": night.began_at,
            "plan": planned.plan.model_dump(mode="json"),
            "cells": [asdict(cell) for cell in night.cells],
        },
    )


def nights(out: Path) -> list[Night]:
    """All nights, the oldest first. A folder whose night.json cannot be read is no night."""
    found = [night for path in (out / "nights").glob(f"*/{_RECORD}") if (night := _read(path)) is not None]
    return sorted(found, key=lambda night: (night.began_at, night.name))


def _is_young(night: Night, now: datetime) -> bool:
    return datetime.fromisoformat(night.began_at) > now - _STALE


def _free_name(out: Path, now: datetime) -> str:
    day = now.astimezone(UTC).strftime("%Y-%m-%d")
    taken = {path.name for path in (out / "nights").glob("*")}
    return next(one for one in (day, *(f"{day}.{number}" for number in range(2, 10_000))) if one not in taken)


def _read(path: Path) -> Night | None:
    try:
        told: Mapping[str, Any] = orjson.loads(path.read_bytes())
        cells: Sequence[Mapping[str, str]] = told["cells"]
        return Night(path.parent, str(told["began_at"]), tuple(Cell(**cell) for cell in cells))
    except (OSError, ValueError, KeyError, TypeError, ProofloadError):
        return None
