"""A started process's standard output and error, in a file that cannot fill the disk.

The process writes to the file itself: a pipe through the lab would let a busy lab slow the target
down. A thread looks at the size now and then and cuts out the middle; because the file is open for
appending, the process goes on writing at its end.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 64 * 1024 * 1024
_HEAD_BYTES = 64 * 1024
_TAIL_BYTES = 1024 * 1024
_LOOK_EVERY_S = 0.25
_LINE_CHARS = 400
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")


class LogFile:
    """An open log: give `descriptor` to the process, read `tail` when it dies, `close` it at the end."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, look_every_s: float = _LOOK_EVERY_S) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.cut_bytes = 0
        """How much was cut out so far."""
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._max_bytes = max_bytes
        self._look_every_s = look_every_s
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name=f"log {path.name}", daemon=True)
        self._keeper.start()

    def tail(self, lines: int = 20) -> str:
        """The last lines, without terminal escapes, overlong lines shortened."""
        return tail_of(self.path, lines)

    def close(self) -> None:
        """Stop looking and close our end; the file stays. Idempotent."""
        if not self._closing.is_set():
            self._closing.set()
            self._keeper.join()
            self._cut_if_too_long()
            os.close(self.descriptor)

    def _keep(self) -> None:
        while not self._closing.wait(self._look_every_s):
            self._cut_if_too_long()

    def _cut_if_too_long(self) -> None:
        with suppress(OSError):  # a full disk: nothing here could make it better
            size = os.fstat(self.descriptor).st_size
            if size <= self._max_bytes:
                return
            keep = min(_TAIL_BYTES, self._max_bytes // 4)
            head = os.pread(self.descriptor, min(_HEAD_BYTES, keep), 0)
            end = os.pread(self.descriptor, keep, size - keep)
            os.ftruncate(self.descriptor, 0)  # what is written between reading and here is lost with the middle
            cut = size - len(head) - len(end)
            os.write(self.descriptor, head + f"\n[proofload cut {cut} bytes out here]\n".encode() + end)
            self.cut_bytes += cut


def tail_of(path: Path, lines: int = 20) -> str:
    """The last lines of a file that may be huge or missing ("")."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - lines * _LINE_CHARS * 4))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    clean = (_ESCAPES.sub("", line).rstrip() for line in text.splitlines())
    return "\n".join(line if len(line) <= _LINE_CHARS else line[:_LINE_CHARS] + " …" for line in list(clean)[-lines:])
