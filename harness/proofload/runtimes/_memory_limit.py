"""A memory limit for a local process tree, by a control group where one can be made.

An address-space limit would be wrong: runtimes reserve far more than they touch. So it is a control
group (version 2, or the memory controller of version 1) or nothing, and "nothing" is said.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MIB = 1024 * 1024
_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A control group with a limit; a process joins by writing its pid into `entrance`."""

    folder: Path

    @property
    def entrance(self) -> Path:
        return self.folder / "cgroup.procs"

    def holds(self, pid: int) -> bool:
        """Whether the process really is in it."""
        try:
            return str(pid) in self.entrance.read_text(encoding="ascii").split()
        except OSError:
            return False

    def killed_for_memory(self) -> bool:
        """Whether the kernel killed a process of the group because of the limit."""
        for name in ("memory.events", "memory.oom_control"):
            with suppress(OSError):
                for line in (self.folder / name).read_text(encoding="ascii").splitlines():
                    key, _, count = line.partition(" ")
                    if key == "oom_kill":
                        return int(count) > 0
        return False

    def remove(self) -> None:
        """Once it is empty."""
        with suppress(OSError):
            self.folder.rmdir()


@dataclass(frozen=True, slots=True)
class NotEnforced:
    """Why a memory limit cannot be held here."""

    reason: str


def memory_group(mib: int, *, root: Path = _ROOT, own: Path = Path("/proc/self/cgroup")) -> MemoryGroup | NotEnforced:
    """A new, empty group that may use `mib` MiB, swap included where that can be set."""
    refusal = "there is no control group file system"
    for parent, limit_file, swap_file in _places(root, own):
        folder = parent / f"proofload-{secrets.token_hex(4)}"
        try:
            folder.mkdir()
        except OSError as exc:
            refusal = f"no control group can be made in {parent}: {exc.strerror}"
            continue
        try:
            with (folder / limit_file).open("r+", encoding="ascii") as file:
                file.write(str(mib * _MIB))
        except OSError as exc:
            refusal = f"the memory controller is not available in {parent}: {exc.strerror}"
            with suppress(OSError):
                folder.rmdir()
            continue
        with suppress(OSError), (folder / swap_file).open("r+", encoding="ascii") as file:
            file.write("0" if swap_file == "memory.swap.max" else str(mib * _MIB))
        return MemoryGroup(folder)
    return NotEnforced(refusal)


def _places(root: Path, own: Path) -> list[tuple[Path, str, str]]:
    """Folders to try: below the lab's own group, beside it (a group with processes gets no children
    with limits in version 2), at the top."""
    try:
        lines = [line.split(":", 2) for line in own.read_text(encoding="ascii").splitlines()]
    except OSError:
        return []
    places: list[tuple[Path, str, str]] = []
    for _, controllers, path in lines:
        if controllers == "" and (root / "cgroup.controllers").exists():
            top, files = root, ("memory.max", "memory.swap.max")
        elif "memory" in controllers.split(","):
            top, files = root / "memory", ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        else:
            continue
        mine = top / path.lstrip("/")
        for folder in dict.fromkeys((mine, mine.parent if mine != top else top, top)):
            if folder.is_dir():
                places.append((folder, *files))  # noqa: PERF401  reads better than the nested comprehension
    return places
