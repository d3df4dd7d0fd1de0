"""Finding and ending the process trees that a run started. Linux, from /proc; standard library only.

The watchdog imports this without the rest of proofload, so it stays import-light.

A tree is more than its children: a server may fork daemons that leave its process group, its session
and, once their parent is gone, its line of descent. What belongs to a run is therefore the union of

- the registered roots, pid *and* start time, so that a recycled pid is never touched,
- every member of a session that a root leads (a started server gets a session of its own),
- every process whose environment at exec carried the run's token in PROOFLOAD_RUN,
- and all descendants of these.

A process that leaves the session, loses its parent and starts its successor with a wiped environment
within one scan is the one that gets away; only a container or a control group would hold it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

MARKER = "PROOFLOAD_RUN"
"""Environment variable of everything a run starts: tokens joined by ":", one per enclosing owner."""

_POLL_S = 0.02
_KILL_PATIENCE_S = 5.0


class Process(NamedTuple):
    """One line of /proc/PID/stat: who it is, where it belongs, what it has used."""

    pid: int
    start_ticks: int
    """Clock ticks from boot to its start: with the pid, its identity."""
    ppid: int
    session: int
    state: str
    cpu_ticks: int
    reaped_ticks: int
    """CPU of children that ended and were waited for."""
    threads: int
    rss_pages: int

    @property
    def ended(self) -> bool:
        """True for a zombie: it has ended and only its parent's wait is outstanding."""
        return self.state in {"Z", "X", "x"}


class Root(NamedTuple):
    """A process as it was registered."""

    pid: int
    start_ticks: int


class Ending(NamedTuple):
    """How a set of processes went: pids asked with SIGTERM, pids that had to be killed, pids still there."""

    terminated: frozenset[int]
    killed: frozenset[int]
    survivors: frozenset[int]


def read(pid: int) -> Process | None:
    """The process with this pid now, or None."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  pathlib would double the watchdog's start
            text = file.read()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    return Process(
        pid=pid,
        start_ticks=int(fields[19]),
        ppid=int(fields[1]),
        session=int(fields[3]),
        state=fields[0].decode("ascii"),
        cpu_ticks=int(fields[11]) + int(fields[12]),
        reaped_ticks=int(fields[13]) + int(fields[14]),
        threads=int(fields[17]),
        rss_pages=int(fields[21]),
    )


def root(pid: int) -> Root | None:
    """The identity of a process that exists (a zombie included), or None."""
    process = read(pid)
    return Root(pid, process.start_ticks) if process else None


def alive(who: Root) -> bool:
    """Whether that very process, not a later one with its pid, is there and not a zombie."""
    process = read(who.pid)
    return process is not None and process.start_ticks == who.start_ticks and not process.ended


def snapshot() -> dict[int, Process]:
    """All processes that this one may see."""
    found = (read(int(name)) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208  see `read`
    return {process.pid: process for process in found if process}


def carries(pid: int, token: str) -> bool:
    """Whether the process was given this token; False where its environment may not be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123  see `read`
            environment = file.read()
    except OSError:
        return False
    prefix, wanted = MARKER.encode() + b"=", token.encode()
    return wanted in environment and any(
        entry.startswith(prefix) and wanted in entry[len(prefix) :].split(b":") for entry in environment.split(b"\0")
    )


def descendants(pids: Iterable[int], processes: dict[int, Process]) -> set[int]:
    """The given pids that exist and everything below them."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.ppid, []).append(process.pid)
    found: set[int] = set()
    open_ends = [pid for pid in pids if pid in processes]
    while open_ends:
        pid = open_ends.pop()
        if pid not in found:
            found.add(pid)
            open_ends.extend(children.get(pid, ()))
    return found


def belonging(roots: Sequence[Root], token: str, *, spare: Iterable[int] = ()) -> dict[int, Process]:
    """Every living process that belongs to the roots or carries the token ("" for none), save `spare`."""
    processes = snapshot()
    starts: set[int] = set()
    for known in roots:
        here = processes.get(known.pid)
        if here is not None and here.start_ticks != known.start_ticks:
            continue  # the pid was recycled; the kernel reuses none whose session still has members
        starts.add(known.pid)
        starts.update(pid for pid, process in processes.items() if process.session == known.pid)
    if token:
        starts.update(pid for pid in processes if carries(pid, token))
    spared = {*spare, os.getpid()}
    mine = descendants(starts, processes) - spared
    return {pid: processes[pid] for pid in mine if not processes[pid].ended}


def send(who: Root, signum: int) -> bool:
    """Signal that very process; False when it is gone. Never reaches a later process with its pid."""
    try:
        handle = os.pidfd_open(who.pid)
    except ProcessLookupError:
        return False
    except OSError:  # a kernel or sandbox without pidfd: check and signal, a moment apart
        return alive(who) and _kill(who.pid, signum)
    try:
        if not alive(who):
            return False
        signal.pidfd_send_signal(handle, signum)
    except (ProcessLookupError, PermissionError):
        return False
    except OSError:
        return _kill(who.pid, signum)
    finally:
        os.close(handle)
    return True


def end(find: Callable[[], dict[int, Process]], grace_s: float, *, quiet_scans: int = 2) -> Ending:
    """SIGTERM to all that `find` finds, SIGKILL to what is left after the grace, until it finds nothing.

    Scans go on to the end, because a dying tree may still fork; `quiet_scans` empty ones in a row
    end it. `grace_s` 0 kills at once. What resists SIGKILL for five seconds (a process stuck in the
    kernel) is given back as survivors.
    """
    asked: set[Root] = set()
    killed: set[Root] = set()
    kill_from = time.monotonic() + grace_s
    give_up = kill_from + _KILL_PATIENCE_S
    quiet = 0
    while True:
        left = {Root(process.pid, process.start_ticks) for process in find().values()}
        left |= {who for who in asked | killed if alive(who)}  # a parent's end may hide them from `find`
        quiet = 0 if left else quiet + 1
        now = time.monotonic()
        if quiet >= quiet_scans or now > give_up:
            pids = [frozenset(who.pid for who in group) for group in (asked, killed, left)]
            return Ending(*pids)
        if now >= kill_from:
            killed |= {who for who in left if send(who, signal.SIGKILL)}
        else:
            asked |= {who for who in left - asked if send(who, signal.SIGTERM)}
        time.sleep(_POLL_S)


def _kill(pid: int, signum: int) -> bool:
    try:
        os.kill(pid, signum)
    except OSError:
        return False
    return True
