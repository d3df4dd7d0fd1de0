"""What /proc tells about one process, beyond its line in /proc/PID/stat. Linux."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from proofload import _process_trees as trees

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Files:
    """Open file descriptors of a process, sockets among them."""

    fds: int
    sockets: int


def tree(roots: Sequence[trees.Root], known: Iterable[int] | None = None) -> dict[int, trees.Process]:
    """The roots and everything below them that lives. Raises ProcessLookupError when a root is gone.

    `known`: look at these pids only, not at every process of the machine; new ones are not found then.
    """
    if known is None:
        processes = trees.snapshot()
    else:
        processes = {process.pid: process for process in map(trees.read, known) if process}
    for who in roots:
        here = processes.get(who.pid)
        if here is None or here.start_ticks != who.start_ticks or here.ended:
            raise ProcessLookupError(f"process {who.pid} is gone")
    found = trees.descendants([who.pid for who in roots], processes)
    return {pid: processes[pid] for pid in found if not processes[pid].ended}


def uss_bytes(pid: int) -> int:
    """Memory that only this process has (private pages), from smaps_rollup.

    Raises ProcessLookupError when it is gone, PermissionError where it may not be read.
    """
    total = 0
    with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123  read twice a second for each process
        for line in file:
            if line.startswith((b"Private_Clean:", b"Private_Dirty:", b"Private_Hugetlb:")):
                total += int(line.split()[1]) * 1024
    return total


def involuntary_switches(pid: int) -> int:
    """How often its main thread was taken off a core while it wanted to run. Raises OSError when gone."""
    with open(f"/proc/{pid}/status", "rb") as file:  # noqa: PTH123  see `uss_bytes`
        for line in file:
            if line.startswith(b"nonvoluntary_ctxt_switches:"):
                return int(line.split()[1])
    return 0


def runnable_threads(pid: int) -> int:
    """How many of its threads run, or wait for a core, at this instant. Raises OSError when gone."""
    count = 0
    with os.scandir(f"/proc/{pid}/task") as tasks:
        for task in tasks:
            try:
                with open(f"{task.path}/stat", "rb") as file:  # noqa: PTH123  see `uss_bytes`
                    text = file.read()
            except OSError:
                continue  # ended meanwhile
            count += text[text.rindex(b")") + 2 : text.rindex(b")") + 3] == b"R"
    return count


def files(pid: int) -> Files:
    """Raises FileNotFoundError when it is gone, PermissionError where it may not be looked into."""
    fds = sockets = 0
    with os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            fds += 1
            try:
                sockets += os.readlink(entry.path).startswith("socket:")  # noqa: PTH115  a thousand of them at times
            except FileNotFoundError:
                fds -= 1  # closed meanwhile
    return Files(fds, sockets)
