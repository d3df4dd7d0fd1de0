"""A container's control group, as its files on this host tell it (versions 1 and 2). Linux.

The texts are parsed apart from the reading of files: see `usage_of`, `folders` and `traffic`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from proofload import _process_trees as trees
from proofload.probes._container_usage import Usage

UNIFIED = ""
"""What the one hierarchy of version 2 is called here, as it is in /proc/PID/cgroup."""
_UNLIMITED = 1 << 60
"""Version 1 says "no limit" with the largest number of whole pages."""
_OCTAL = re.compile(r"\\([0-7]{3})")
_FILES = {
    "cpu": ("cpu.stat", "cpu.cfs_quota_us", "cpu.cfs_period_us"),
    "cpuacct": ("cpuacct.usage",),
    "memory": ("memory.usage_in_bytes", "memory.stat", "memory.oom_control"),
    "pids": ("pids.current",),
    UNIFIED: (
        "cpu.stat", "cpu.max", "memory.current", "memory.max", "memory.stat", "memory.events", "pids.current",
    ),
}  # fmt: skip

Texts = Mapping[tuple[str, str], str]
"""(controller, file) → its text; what could not be read is missing."""


@dataclass(frozen=True, slots=True)
class ContainerGroup:
    """Found by `find`."""

    who: trees.Root
    """The container's first process."""
    places: Mapping[str, Path]
    above_bytes: int | None
    """The least memory limit of the groups above it (version 2)."""
    own_network: bool

    def read(self) -> Usage:
        """Raises ProcessLookupError when the container's first process, or its group, is gone."""
        texts: dict[tuple[str, str], str] = {}
        for controller, folder in self.places.items():
            for name in _FILES[controller]:
                text = _text(f"{folder}/{name}")
                if text is not None:
                    texts[controller, name] = text
        network = _text(f"/proc/{self.who.pid}/net/dev") if self.own_network else None
        if not texts or not trees.alive(self.who):  # asked last: a pid may go to another process
            raise ProcessLookupError(f"process {self.who.pid}, the first of its container, is gone")
        usage = usage_of(texts)
        limits = [limit for limit in (usage.memory_limit_bytes, self.above_bytes) if limit is not None]
        received, sent = (None, None) if network is None else traffic(network)
        return replace(usage, memory_limit_bytes=min(limits) if limits else None, rx_bytes=received, tx_bytes=sent)


def find(container_id: str, pid: int) -> ContainerGroup | None:
    """The group of a container whose first process is `pid`; None where this host does not show it: the process is
    gone or elsewhere (another machine's, another namespace's pid), or the files are not mounted here."""
    who = trees.root(pid)
    listed, mounts = _text(f"/proc/{pid}/cgroup"), _text("/proc/self/mountinfo")
    if who is None or listed is None or mounts is None:
        return None
    places = {name: folder for name, folder in folders(listed, mounts, container_id).items() if folder.is_dir()}
    if not places:
        return None
    return ContainerGroup(who, places, _above(places.get(UNIFIED)), _has_own_network(pid))


def folders(listed: str, mounts: str, container_id: str) -> dict[str, Path]:
    """`listed`: /proc/PID/cgroup; `mounts`: /proc/self/mountinfo. Controller → where the container's group would be.

    Groups that its processes made for themselves, below the container's own, are not looked into.
    """
    mounted = _mounts(mounts)
    found: dict[str, Path] = {}
    for line in listed.splitlines():
        _, controllers, path = line.split(":", 2)
        own = _own_part(path, container_id)
        for controller in controllers.split(","):
            if own is None or controller not in mounted or controller not in _FILES:
                continue
            root, point = mounted[controller]
            if PurePosixPath(own).is_relative_to(root):
                found[controller] = Path(point, PurePosixPath(own).relative_to(root))
    return found


def usage_of(texts: Texts) -> Usage:
    """From the texts of one moment. Where a host mounts both versions, each thing is told by the one that has it."""
    first, second = _version_1(texts), _version_2(texts)
    return replace(first, **{name: told for name in Usage.__slots__ if (told := getattr(second, name)) is not None})


def traffic(table: str) -> tuple[int, int]:
    """/proc/PID/net/dev: bytes received and sent by all interfaces but the loopback."""
    received = sent = 0
    for line in table.splitlines()[2:]:
        name, _, counts = line.partition(":")
        if name.strip() != "lo":
            fields = counts.split()
            received, sent = received + int(fields[0]), sent + int(fields[8])
    return received, sent


def _version_1(texts: Texts) -> Usage:
    cpu, memory = _table(texts.get(("cpu", "cpu.stat"))), _table(texts.get(("memory", "memory.stat")))
    quota = _number(texts.get(("cpu", "cpu.cfs_quota_us")))
    period = _number(texts.get(("cpu", "cpu.cfs_period_us")))
    limit = memory.get("hierarchical_memory_limit")
    stopped_ns = cpu.get("throttled_time")
    used_ns = _number(texts.get(("cpuacct", "cpuacct.usage")))
    return Usage(
        cpu_s=None if used_ns is None else used_ns / 1e9,
        periods=cpu.get("nr_periods"),
        throttled_periods=cpu.get("nr_throttled"),
        throttled_s=None if stopped_ns is None else stopped_ns / 1e9,
        cpu_limit_cores=quota / period if quota and period and quota > 0 else None,
        used_bytes=_number(texts.get(("memory", "memory.usage_in_bytes"))),
        reclaimable_bytes=memory.get("total_inactive_file"),
        anon_bytes=_sum(memory.get("total_rss"), memory.get("total_shmem")),
        memory_limit_bytes=None if limit is None or limit >= _UNLIMITED else limit,
        oom_kills=_table(texts.get(("memory", "memory.oom_control"))).get("oom_kill"),
        pids=_number(texts.get(("pids", "pids.current"))),
    )


def _version_2(texts: Texts) -> Usage:
    def file(name: str) -> str | None:
        return texts.get((UNIFIED, name))

    cpu, memory = _table(file("cpu.stat")), _table(file("memory.stat"))
    quota, _, period = (file("cpu.max") or "").strip().partition(" ")
    stopped_us, used_us = cpu.get("throttled_usec"), cpu.get("usage_usec")
    return Usage(
        cpu_s=None if used_us is None else used_us / 1e6,
        periods=cpu.get("nr_periods"),
        throttled_periods=cpu.get("nr_throttled"),
        throttled_s=None if stopped_us is None else stopped_us / 1e6,
        cpu_limit_cores=int(quota) / int(period) if quota.isdigit() and period else None,
        used_bytes=_number(file("memory.current")),
        reclaimable_bytes=memory.get("inactive_file"),
        anon_bytes=_sum(memory.get("anon"), memory.get("shmem")),
        memory_limit_bytes=_number(file("memory.max")),
        oom_kills=_table(file("memory.events")).get("oom_kill"),
        pids=_number(file("pids.current")),
    )


def _own_part(path: str, container_id: str) -> str | None:
    """The path up to the part that names the container: "/docker/<id>", "/…/libpod-<id>.scope"."""
    parts = PurePosixPath(path).parts
    for number, part in enumerate(parts, start=1):
        if container_id in part:
            return str(PurePosixPath(*parts[:number]))
    return None


def _mounts(mounts: str) -> dict[str, tuple[str, str]]:
    """Controller → (which group is mounted, where)."""
    found: dict[str, tuple[str, str]] = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.partition(" ")
        if kind in {"cgroup", "cgroup2"}:
            fields = before.split()
            place = _plain(fields[3]), _plain(fields[4])
            names = [UNIFIED] if kind == "cgroup2" else options.split()[-1].split(",")
            for name in names:
                found.setdefault(name, place)
    return found


def _plain(field: str) -> str:
    """Blanks and such are written in octal there."""
    return _OCTAL.sub(lambda code: chr(int(code[1], 8)), field)


def _above(folder: Path | None) -> int | None:
    limits = []
    while folder is not None and folder != folder.parent:
        folder = folder.parent
        text = _text(f"{folder}/memory.max")
        if text is None:
            break  # the root of the hierarchy has no such file
        if (limit := _number(text)) is not None:
            limits.append(limit)
    return min(limits, default=None)


def _has_own_network(pid: int) -> bool:
    """Not where it shares this program's, whose traffic is not its own; nor where that cannot be told."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")  # noqa: PTH115  no file at all
    except OSError:
        return False


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123  a dozen of them, twice a second
            return file.read()
    except OSError:
        return None


def _table(text: str | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in (text or "").splitlines():
        name, _, value = line.partition(" ")
        if value.isdigit():
            found[name] = int(value)
    return found


def _number(text: str | None) -> int | None:
    """None for "max", too."""
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def _sum(*parts: int | None) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
