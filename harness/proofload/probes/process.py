"""The process tree of a target: CPU, memory, descriptors, threads, read from /proc.

Readings, all sums over the tree (source "process"):

cpu_share          cores used since the reading before: 1.0 is one core busy all the time
uss_bytes          memory that only these processes have; what would be freed if they ended
uss_unavailable    1, once, where that may not be read: then there is only
rss_bytes          resident memory, shared pages counted once for each process
fds, sockets       open descriptors; one that forked processes share counts for each
inbound            connections among them that clients opened to a port it listens on, and that are up
fds_of_limit       share of its limit (RLIMIT_NOFILE) that the process nearest to it has open
files_bytes        what regular files that are open take on disk, deleted ones included
written_bytes      handed to the disk since each of them began, by those that ended and were waited for too
disk_used_bytes    taken up on the file systems of disks that the first of them sees, by whomever
memory_limit_bytes once: the limit of the control group, where the target has one of its own
threads, processes
births             processes that joined the tree since the first reading
involuntary_switches_per_s   of the main threads: wanted to run, and lost the core
runnable_threads   that ran, or waited for a core, at that instant

Looking for new processes, private memory and descriptors takes longer the more there is; each then
comes less often (see _duty.py), so that it costs at most about one percent of a core.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from proofload import _process_trees as trees
from proofload.clock import NS_PER_S, Clock, MonotonicClock
from proofload.probes import Subject
from proofload.probes._duty import Duty
from proofload.probes._proc import (
    PAGE_BYTES,
    TICKS_PER_S,
    disk_used_bytes,
    files,
    inbound,
    involuntary_switches,
    memory_limit_bytes,
    most_fds,
    runnable_threads,
    tree,
    uss_bytes,
    written_bytes,
)
from proofload.records import Reading

SOURCE = "process"
FEW_THREADS = 100


def create(subject: Subject) -> ProcessProbe | None:
    return ProcessProbe(subject) if subject.pids else None


class ProcessProbe:
    """Reads the trees below `subject.pids` as one. Raises ProcessLookupError when one of them is gone."""

    interval_s = 0.5

    def __init__(self, subject: Subject, *, clock: Clock | None = None) -> None:
        self._arm = subject.arm
        self._clock = clock or MonotonicClock()
        self._pids = subject.pids
        self._roots: list[trees.Root] = []
        self._last_ns = 0
        self._last: Mapping[tuple[int, int], trees.Process] = {}
        self._last_switches: Mapping[tuple[int, int], int] = {}
        self._scan, self._memory, self._files, self._runnable = Duty(), Duty(), Duty(), Duty()
        self._uss_denied = False
        self._births = 0
        self._fd_limits: dict[tuple[int, int], int | None] = {}

    def read(self) -> Iterable[Reading]:
        if not self._roots:
            self._roots = [self._identity(pid) for pid in self._pids]
        now_ns = self._clock.now_ns()
        processes = {(pid, process.start_ticks): process for pid, process in self._tree().items()}
        values: dict[str, float] = {
            "rss_bytes": sum(process.rss_pages for process in processes.values()) * PAGE_BYTES,
            "threads": sum(process.threads for process in processes.values()),
            "processes": len(processes),
        }
        if self._last:
            self._births += len(processes.keys() - self._last.keys())
        else:
            limits = [limit for pid in self._pids if (limit := memory_limit_bytes(pid)) is not None]
            values |= {"memory_limit_bytes": min(limits)} if limits else {}
        values["births"] = self._births
        elapsed_s = (now_ns - self._last_ns) / NS_PER_S
        switches = self._switches(processes)
        if self._last and elapsed_s > 0:
            values["cpu_share"] = used_ticks(self._last, processes) / TICKS_PER_S / elapsed_s
            gained = sum(count - self._last_switches.get(who, 0) for who, count in switches.items())
            values["involuntary_switches_per_s"] = gained / elapsed_s
        self._last_ns, self._last, self._last_switches = now_ns, processes, switches
        pids = [pid for pid, _ in processes]
        if values["threads"] <= FEW_THREADS:  # cheap, whatever a clock says that counts the wait for a core
            values.update(self._wanting_to_run(pids))
        else:
            self._costly(self._runnable, lambda: self._wanting_to_run(pids), values)
        self._costly(self._files, lambda: self._descriptors(processes), values)
        self._costly(self._memory, lambda: self._private_memory(pids), values)
        return [Reading(now_ns, SOURCE, name, value, self._arm) for name, value in values.items()]

    def close(self) -> None:
        """Nothing is held open."""

    def _identity(self, pid: int) -> trees.Root:
        who = trees.root(pid)
        if who is None:
            raise ProcessLookupError(f"process {pid} is gone")
        return who

    def _tree(self) -> Mapping[int, trees.Process]:
        """All of the tree when that is due; those of it that are known otherwise (a busy host has many processes)."""
        began_ns = self._clock.now_ns()
        if not self._scan.due(began_ns):
            return tree(self._roots, [pid for pid, _ in self._last])
        found = tree(self._roots)
        self._scan.spent(began_ns, self._clock.now_ns() - began_ns)
        return found

    def _switches(self, processes: Iterable[tuple[int, int]]) -> dict[tuple[int, int], int]:
        found: dict[tuple[int, int], int] = {}
        for who in processes:
            try:
                found[who] = involuntary_switches(who[0])
            except OSError:
                continue  # ended since the tree was read
        return found

    def _costly(self, duty: Duty, measure: Callable[[], Mapping[str, float]], values: dict[str, float]) -> None:
        began_ns = self._clock.now_ns()
        if duty.due(began_ns):
            values.update(measure())
            duty.spent(began_ns, self._clock.now_ns() - began_ns)

    def _descriptors(self, processes: Iterable[tuple[int, int]]) -> Mapping[str, float]:
        """A sum over only some of the processes would be a wrong number, so it is all or nothing."""
        try:
            each = {who: files(who[0]) for who in processes}
            for who in each.keys() - self._fd_limits.keys():
                self._fd_limits[who] = most_fds(who[0])
            opened = sum(inbound(who[0], one.inodes) for who, one in each.items())
        except OSError:
            return {}
        self._fd_limits = {who: self._fd_limits[who] for who in each}  # processes come and go
        shares = [one.fds / limit for who, one in each.items() if (limit := self._fd_limits[who])]
        found: dict[str, float] = {
            "fds": sum(one.fds for one in each.values()),
            "sockets": sum(one.sockets for one in each.values()),
            "inbound": opened,
            "files_bytes": sum(one.on_disk_bytes for one in each.values()),
        }
        found |= self._on_disks(who[0] for who in each)
        return {**found, "fds_of_limit": max(shares)} if shares else found

    def _on_disks(self, pids: Iterable[int]) -> Mapping[str, float]:
        """Where both can be read: one is worth little without the other."""
        try:
            written, used = sum(written_bytes(pid) for pid in pids), disk_used_bytes(self._pids[0])
        except OSError:
            return {}
        return {} if used is None else {"written_bytes": written, "disk_used_bytes": used}

    def _wanting_to_run(self, pids: Iterable[int]) -> Mapping[str, float]:
        try:
            return {"runnable_threads": sum(runnable_threads(pid) for pid in pids)}
        except OSError:
            return {}

    def _private_memory(self, pids: Iterable[int]) -> Mapping[str, float]:
        if self._uss_denied:
            return {}
        try:
            return {"uss_bytes": sum(uss_bytes(pid) for pid in pids)}
        except PermissionError:
            self._uss_denied = True
            return {"uss_unavailable": 1}
        except FileNotFoundError:
            if all(trees.alive(who) for who in self._roots) and not _has_rollup():
                self._uss_denied = True
                return {"uss_unavailable": 1}
            return {}
        except OSError:
            return {}


def used_ticks(before: Mapping[tuple[int, int], trees.Process], after: Mapping[tuple[int, int], trees.Process]) -> int:
    """CPU ticks a tree used between two looks at it.

    Own time plus that of children already waited for: what a child used moves to its parent when it
    ends, so the sum over the tree loses nothing. If it shrank all the same (a process left the tree
    without being waited for), only what the others surely used counts.
    """
    change = _total(after) - _total(before)
    if change >= 0:
        return change
    return sum(after[who].cpu_ticks - before[who].cpu_ticks for who in after.keys() & before.keys())


def _total(processes: Mapping[tuple[int, int], trees.Process]) -> int:
    return sum(process.cpu_ticks + process.reaped_ticks for process in processes.values())


def _has_rollup() -> bool:
    try:
        uss_bytes(os.getpid())
    except OSError:
        return False
    return True
