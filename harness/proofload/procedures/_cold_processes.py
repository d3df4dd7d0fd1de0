"""What each process of a target holds and has read: the difference of two looks shows a model that came late."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from proofload.probes._proc import uss_bytes
from proofload.procedures._cold_page_cache import family


def look(pids: Sequence[int]) -> list[dict[str, Any]]:
    """One entry a process: pid, own memory and bytes read so far; None where the kernel does not tell."""
    return [{"pid": pid, "uss_bytes": _memory(pid), "read_bytes": _read(pid)} for pid in family(pids)]


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
