"""One night at a time, and one run at a time: others in the same folder, and runs whose night was killed."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from proofload.errors import InputError, MeasurementError

_PATIENCE_S = 120.0
"""A run whose night was killed stops its servers and writes its report; that long it may take."""


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Holds the history's folder; let go of however the process ends. Raises InputError where another one has it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / ".lock").open("a", encoding="ascii")
    except OSError as exc:
        raise InputError(f"cannot write in {out}", evidence=str(exc), remedy="name another folder with --out") from exc
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise InputError(
                f"another `proofload nightly` is at work in {out}",
                remedy="wait for it, or name another folder with --out",
            ) from exc
        yield


def wait_until_ended(folder: Path) -> None:
    """Until no process of this user writes into the run folder. Raises MeasurementError when one will not end."""
    until = time.monotonic() + _PATIENCE_S
    while (pid := _writer(folder.absolute())) is not None:
        if time.monotonic() > until:
            raise MeasurementError(
                f"a run of an interrupted night has not ended: {folder}",
                evidence=f"process {pid} was still there after {_PATIENCE_S:.0f} s",
                remedy=f"end it (kill {pid}), then call `proofload nightly` again",
            )
        time.sleep(0.2)


def _writer(folder: Path) -> int | None:
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            words = process.cmdline()
            if "--out" in words[:-1] and Path(process.cwd(), words[words.index("--out") + 1]) == folder:
                return process.pid
    return None
