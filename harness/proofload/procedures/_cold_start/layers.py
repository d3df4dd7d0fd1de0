"""Files of a container as this host names them: the page cache holds the layers' files, not the container's view."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path


def inside(pid: int) -> bool:
    """Whether a process sees other files than we do: it is in a container whose engine is on this host."""
    theirs = _mounts(pid)
    return theirs is not None and theirs != _mounts(os.getpid())


def here(pid: int, names: Iterable[str]) -> Iterator[Path]:
    """Where files that a process knows by these absolute names lie on this host. Left out are unknown ones, and those
    that may not be looked at: an engine's folders are closed to all but root."""
    if not inside(pid):
        yield from map(Path, names)
        return
    folders = _folders(pid)
    for name in names:
        found = (path for folder in folders if os.path.exists(path := folder / name.lstrip("/")))  # noqa: PTH110  no raising
        yield from (path for path in [next(found, None)] if path is not None)


def named(pid: int) -> Iterator[Path]:
    """What the environment of a process names by an absolute path, as it lies on this host."""
    try:
        text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return
    values = [entry.partition("=")[2] for entry in text.split("\0")]
    yield from here(pid, [value for value in values if value.startswith("/") and ":" not in value])


def _mounts(pid: int) -> str | None:
    """Its mount namespace; None where that may not be seen."""
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115  a name, and no path
    except OSError:
        return None


def _folders(pid: int) -> Sequence[Path]:
    """What its root file system is made of, the uppermost first; empty where that is no overlay."""
    try:
        lines = Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    for line in lines:
        before, _, after = line.partition(" - ")
        if before.split()[4] == "/" and after.startswith("overlay"):
            options = dict(part.partition("=")[::2] for part in after.split()[2].split(","))
            folders = [options.get("upperdir", ""), *options.get("lowerdir", "").split(":")]
            return [Path(folder) for folder in folders if folder]
    return ()
