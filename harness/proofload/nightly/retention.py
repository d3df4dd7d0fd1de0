"""Which old samples may go. Of nights beyond the newest N, a run folder keeps what tells and explains its result:
run.json, result.json, events, reports. The history's rows never go, and it can still be made again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from proofload.nightly.night import Night

KEPT = ("run.json", "result.json", "events.jsonl", "users.npy")


@dataclass(frozen=True, slots=True)
class Removal:
    """What goes of one run folder (or all of one that was cut short), and how large it is."""

    folder: Path
    paths: tuple[Path, ...]
    size: int


def removable(nights: Sequence[Night], keep: int) -> list[Removal]:
    """`nights`: the oldest first. Those that are unfinished are left alone."""
    found: list[Removal] = []
    for night in nights[: max(0, len(nights) - keep)]:
        if not night.missing():
            found += _of(night)
    return found


def remove(removals: Sequence[Removal]) -> None:
    for removal in removals:
        for path in removal.paths:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _of(night: Night) -> Iterator[Removal]:
    for folder in sorted(path for path in (night.folder / "cells").glob("*") if path.is_dir()):
        cut = ".cut-" in folder.name
        paths = (
            (folder,)
            if cut
            else tuple(
                sorted(
                    path for path in folder.iterdir() if path.name not in KEPT and not path.name.startswith("report.")
                )
            )
        )
        if paths:
            yield Removal(folder, paths, sum(_size(path) for path in paths))


def _size(path: Path) -> int:
    inside = path.rglob("*") if path.is_dir() else [path]
    return sum(one.stat().st_size for one in inside if one.is_file())
