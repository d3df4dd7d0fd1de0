"""The watchdog process: waits for the lab to end, however it ends, and ends what the lab started.

Standard input is the read end of a pipe whose write end only the lab has. Lines on it:

    adopt PID START_TICKS       end this tree when the lab ends
    release PID                 it has ended, or is no longer ours
    folder PATH                 remove this (control group) folder at the end, if empty
    engine ENDPOINT             remove the containers there that carry the lab's token
    end                         the lab is through

The end of the pipe, `end`, or the end of the lab's process all mean the same: end everything, exit.
The process is watched besides the pipe because a child that the lab forked may hold the write end
open long after the lab was killed.

Exit status: 0 nothing was left to end, LEFTOVERS something was and is gone, SURVIVORS not all of it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress

from proofload import _process_trees as trees

LEFTOVERS = 10
SURVIVORS = 11
_PIPE = 0


def main(lab_pid: int, token: str, grace_s: float) -> int:
    """Watch until the lab ends; `token` marks its processes, `grace_s` lies between SIGTERM and SIGKILL."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)  # its life is bounded by the lab's; nothing else may end it early
    roots: dict[int, trees.Root] = {}
    folders: list[str] = []
    engines: dict[str, None] = {}
    for line in _lines(lab_pid):
        word, _, rest = line.partition(" ")
        if word == "adopt":
            pid, ticks = rest.split()
            roots[int(pid)] = trees.Root(int(pid), int(ticks))
        elif word == "release":
            roots.pop(int(rest), None)
        elif word == "folder":
            folders.append(rest)
        elif word == "engine":
            engines[rest] = None
        elif word == "end":
            break
    ending = trees.end(lambda: trees.belonging(list(roots.values()), token, spare=(lab_pid,)), grace_s)
    for folder in folders:
        with suppress(OSError):
            os.rmdir(folder)  # noqa: PTH106  pathlib would double the start
    containers, stuck = _swept(engines, token)
    if ending.survivors or stuck:
        return SURVIVORS
    return LEFTOVERS if ending.terminated or ending.killed or containers else 0


def _swept(engines: Iterable[str], token: str) -> tuple[int, int]:
    """How many containers were still there, and how many still are, as far as can be told."""
    there = stuck = 0
    for endpoint in engines:
        from proofload import _container_sweep  # only where containers were used: it would double the start

        try:
            found, left = _container_sweep.sweep(endpoint, token)
        except Exception:  # noqa: BLE001  whatever it is, nobody hears it: what counts is that it is no success
            found, left = 0, 1
        there, stuck = there + found, stuck + left
    return there, stuck


def _lines(lab_pid: int) -> Iterator[str]:
    """Lines from the pipe until it or the lab ends; those already written by then included."""
    lab = _open_lab(lab_pid)
    watched = [_PIPE] if lab is None else [_PIPE, lab]
    os.set_blocking(_PIPE, False)
    held, lab_ended = b"", lab is None and os.getppid() != lab_pid
    while True:
        if not lab_ended:
            ready, _, _ = select.select(watched, [], [])
            lab_ended = lab in ready
        chunk = _read()
        if chunk:
            *whole, held = (held + chunk).split(b"\n")
            yield from (line.decode() for line in whole)
        elif chunk == b"" or lab_ended:
            return


def _read() -> bytes | None:
    """What the pipe holds; empty at its end, None when it merely holds nothing now."""
    try:
        return os.read(_PIPE, 65536)
    except BlockingIOError:
        return None


def _open_lab(lab_pid: int) -> int | None:
    """A handle that becomes readable when the lab's process ends; None when it has, or there are no such handles."""
    try:
        handle = os.pidfd_open(lab_pid)
    except OSError:
        return None
    if os.getppid() != lab_pid:  # the lab ended before, and the pid may be someone else's
        os.close(handle)
        return None
    return handle


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
