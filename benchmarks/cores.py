"""Which core drives and which one serves: the lowest and the highest that this process may use."""

from __future__ import annotations

import os
import shutil

_OURS = sorted(os.sched_getaffinity(0))
CLIENT_CORE, SERVER_CORE = _OURS[0], _OURS[-1]


def pinned(core: int, command: list[str]) -> list[str]:
    """The command on one core."""
    taskset = shutil.which("taskset")
    if taskset is None:
        raise SystemExit("taskset is missing: apt-get install util-linux")
    return [taskset, "-c", str(core), *command]


def apart() -> str:
    """What to say when client and server have to share a core."""
    return "" if CLIENT_CORE != SERVER_CORE else "only one core: client and server share it, so no ratio here holds"
