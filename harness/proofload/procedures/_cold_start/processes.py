"""What each process of a target holds and has read: the difference of two looks shows a model that came late."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from proofload import _process_trees as trees
from proofload.probes._proc import files, uss_bytes
from proofload.procedures._cold_start.page_cache import family


def look(pids: Sequence[int]) -> list[dict[str, Any]]:
    """One entry a process: pid, own memory, bytes read so far, threads and descriptors; None: not told."""
    return [
        {"pid": pid, "uss_bytes": _memory(pid), "read_bytes": _read(pid), "hands": _hands(pid)} for pid in family(pids)
    ]


def _hands(pid: int) -> int | None:
    """Threads and open descriptors together: each connection and each worker thread has buffers of its own."""
    process = trees.read(pid)
    try:
        return None if process is None else process.threads + files(pid).fds
    except OSError:
        return None


def _memory(pid: int) -> int | None:
    try:
        return uss_bytes(pid)
    except OSError:
        return None


def _read(pid: int) -> int | None:
    """Bytes it got by read(): files, pipes, and sockets of some event loops."""
    try:
        for line in Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "rchar":
                return int(value)
    except OSError:
        pass
    return None
