"""What /proc tells about one process, beyond its line in /proc/PID/stat. Linux."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from proofload import _process_trees as trees

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_BLOCK_BYTES = 512
_ESTABLISHED, _LISTEN = "01", "0A"
_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60
_ON_DISK = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "overlay"})


@dataclass(frozen=True, slots=True)
class Files:
    """Open file descriptors of a process, sockets among them."""

    fds: int
    sockets: int
    inodes: frozenset[str]
    """Of the sockets, as /proc/net names them."""
    on_disk_bytes: int
    """What the regular files among them take on disk, those that have no name any more included."""


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
    fds = 0
    sockets: list[str] = []
    sizes: dict[tuple[int, int], int] = {}
    with os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            fds += 1
            try:
                link = os.readlink(entry.path)  # noqa: PTH115  a thousand of them at times
                if link.startswith("socket:["):
                    sockets.append(link[8:-1])
                elif link.startswith("/") and not link.startswith(("/dev/", "/proc/", "/memfd:")):
                    seen = os.stat(entry.path)  # noqa: PTH116  see above
                    if stat.S_ISREG(seen.st_mode):
                        sizes[seen.st_dev, seen.st_ino] = seen.st_blocks * _BLOCK_BYTES
            except FileNotFoundError:
                fds -= 1  # closed meanwhile
    return Files(fds, len(sockets), frozenset(sockets), sum(sizes.values()))


def written_bytes(pid: int) -> int:
    """What it caused to be written to disks, less what was cut off before it got there; children that it waited for
    included. Raises OSError when it is gone or may not be read."""
    values = {}
    with open(f"/proc/{pid}/io", "rb") as file:  # noqa: PTH123  see `uss_bytes`
        for line in file:
            name, _, value = line.partition(b":")
            values[name] = int(value)
    return values[b"write_bytes"] - values[b"cancelled_write_bytes"]


def disk_used_bytes(pid: int) -> int | None:
    """What is taken up on the file systems on disks that the process sees, by whomever; None where there is none.
    Raises OSError when it is gone."""
    used: dict[tuple[int, int], int] = {}
    with open(f"/proc/{pid}/mounts", encoding="utf-8", errors="surrogateescape") as mounts:  # noqa: PTH123
        for line in mounts:
            _, place, kind, *_ = line.split(" ")
            if kind in _ON_DISK:
                with suppress(OSError):  # one that may not be looked into
                    seen = os.statvfs(f"/proc/{pid}/root{place}")
                    # an overlay is counted as what it lies on
                    used[seen.f_blocks, seen.f_files] = (seen.f_blocks - seen.f_bfree) * seen.f_frsize
    return sum(used.values()) if used else None


def inbound(pid: int, inodes: frozenset[str]) -> int:
    """How many of these sockets (of `pid`'s network) are established connections to a port that one of them listens
    on: those that clients opened. Raises OSError when the process is gone."""
    listening: set[str] = set()
    connected: list[str] = []
    for table in ("tcp", "tcp6"):
        place = f"/proc/{pid}/net/{table}"
        if not os.path.exists(place):  # noqa: PTH110  no IPv6 here, or the process is gone
            continue
        with open(place, encoding="ascii") as file:  # noqa: PTH123  see `uss_bytes`
            next(file, None)
            for line in file:
                fields = line.split()
                if fields[9] in inodes:
                    port = fields[1].rpartition(":")[2]
                    if fields[3] == _LISTEN:
                        listening.add(port)
                    elif fields[3] == _ESTABLISHED:
                        connected.append(port)
    return sum(port in listening for port in connected)


def most_fds(pid: int) -> int | None:
    """The soft limit of open descriptors (RLIMIT_NOFILE); None where there is none. Raises OSError when it is gone."""
    with open(f"/proc/{pid}/limits", "rb") as file:  # noqa: PTH123  see `uss_bytes`
        for line in file:
            if line.startswith(b"Max open files"):
                soft = line.split()[3]
                return int(soft) if soft.isdigit() else None
    return None


def memory_limit_bytes(pid: int) -> int | None:
    """The limit of the control group that the process is in, where it is another group than this program's own.

    None where there is none, or where it is the machine's own: that one is no limit of the target.
    """
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="ascii")
        theirs = Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii")
        if own == theirs:
            return None
        for line in theirs.splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                text = (_CGROUPS / path.lstrip("/") / "memory.max").read_text(encoding="ascii")
            elif "memory" in controllers.split(","):
                text = (_CGROUPS / "memory" / path.lstrip("/") / "memory.limit_in_bytes").read_text(encoding="ascii")
            else:
                continue
            if text.strip().isdigit() and int(text) < _UNLIMITED:
                return int(text)
    except (OSError, ValueError):
        return None
    return None
