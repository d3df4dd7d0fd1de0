"""On which accelerators a process tree is, and with how much memory there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proofload.accelerators import Part, ask
from proofload.clock import Clock
from proofload.probes._duty import Duty

_LISTS = ("Compute", "Graphics", "MPSCompute")
_NODE = re.compile(r"/dev/nvidia(\d+)")
_FIRST_PID_NAMESPACE = "pid:[4026531836]"
"""What Linux calls the namespace that the driver counts processes in (PROC_PID_INIT_INO)."""


@dataclass(frozen=True, slots=True)
class Presence:
    """A part that the tree is seen on."""

    part: Part
    memory_bytes: int | None
    """What its processes hold there; None where that is not told by process."""
    pids: frozenset[int]
    """Its processes there; empty where they are known only from the device file they have open."""
    neighbours: int | None
    """Processes of others there; None where the driver counts in a namespace that is not ours."""


@dataclass(slots=True)
class Whereabouts:
    """Finds the parts that a tree is on: as the driver lists processes, or for want of that by open device files.

    The driver counts processes in the first namespace. In a container of its own a lab sees none of its target's
    there; with one device file open in the tree it can be no other device. With several it is not guessed at.
    """

    library: Any
    parts: Sequence[Part]
    clock: Clock
    _duty: Duty = field(default_factory=Duty)
    _by_file: Part | None = None

    def of(self, tree: Iterable[int]) -> list[Presence]:
        ours = set(tree)
        listed = {index: self._processes(part) for index, part in enumerate(self.parts)}
        found = [
            _presence(part, listed[index], ours)
            for index, part in enumerate(self.parts)
            if not ours.isdisjoint(listed[index])
        ]
        if found or numbered_as_the_driver():
            return found
        part = self._file_holder(ours)
        return [] if part is None else [Presence(part, None, frozenset(), None)]

    def _processes(self, part: Part) -> Mapping[int, int | None]:
        """Bytes by process; None where the driver knows the process and not its memory."""
        found: dict[int, int | None] = {}
        for kind in _LISTS:
            for version in ("_v3", "_v2"):
                told = ask(self.library, f"nvmlDeviceGet{kind}RunningProcesses{version}", part.handle)
                if told is not None:
                    # None of a process on a device holds 0 bytes; drivers say 0 across namespaces.
                    found.update({one.pid: one.usedGpuMemory or None for one in told})
                    break
        return found

    def _file_holder(self, ours: Iterable[int]) -> Part | None:
        now_ns = self.clock.now_ns()
        if self._duty.due(now_ns):
            self._by_file = self._only_part({number for pid in ours for number in open_devices(pid)})
            self._duty.spent(now_ns, self.clock.now_ns() - now_ns)
        return self._by_file

    def _only_part(self, numbers: set[int]) -> Part | None:
        if len(numbers) != 1:
            return None
        on = [one for one in self.parts if ask(self.library, "nvmlDeviceGetMinorNumber", one.board) in numbers]
        return on[0] if len(on) == 1 else None


def numbered_as_the_driver() -> bool:
    """Do process numbers here mean what they mean to the driver?"""
    try:
        return os.readlink("/proc/self/ns/pid") == _FIRST_PID_NAMESPACE  # noqa: PTH115  a name, no file
    except OSError:
        return True


def open_devices(pid: int) -> set[int]:
    """Numbers of the device files /dev/nvidiaN that a process has open; empty where it may not be looked into."""
    found: set[int] = set()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                node = _NODE.fullmatch(os.readlink(entry))  # noqa: PTH115  what it says, and not where it leads
            except FileNotFoundError:
                continue  # closed meanwhile
            if node:
                found.add(int(node[1]))
    except OSError:
        return set()
    return found


def _presence(part: Part, listed: Mapping[int, int | None], ours: set[int]) -> Presence:
    mine = [listed[pid] for pid in listed if pid in ours]
    told = [held for held in mine if held is not None]
    return Presence(
        part=part,
        memory_bytes=sum(told) if len(told) == len(mine) else None,
        pids=frozenset(ours & listed.keys()),
        neighbours=len(listed.keys() - ours) if numbered_as_the_driver() else None,
    )
