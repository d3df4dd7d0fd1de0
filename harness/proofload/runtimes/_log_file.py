"""A started process's standard output and error, in a file that cannot fill the disk.

The process writes to the file itself: a pipe through the lab would let a busy lab slow the target
down. A thread looks at the size now and then and frees the middle by punching a hole, which loses
none of what is being written meanwhile; the end closes the hole up. Where the file system has no
holes the file is cut short instead, and lines written in that instant are lost.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 64 * 1024 * 1024
HEAD_BYTES = 64 * 1024
TAIL_BYTES = 1024 * 1024
_LOOK_EVERY_S = 0.25
_LINE_CHARS = 400
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
_KEEP_SIZE_PUNCH_HOLE = 0x01 | 0x02


class LogFile:
    """An open log: give `descriptor` to the process, read `tail` when it dies, `close` it at the end.

    At most about `max_bytes` + HEAD_BYTES, and what is written between two looks, are on the disk.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, look_every_s: float = _LOOK_EVERY_S) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.cut_bytes = 0
        """How much was taken out so far, between the first HEAD_BYTES and the end."""
        self._hole_bytes = 0
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
        """When nothing writes any more: close the hole and our end; the file stays. Idempotent."""
        if not self._closing.is_set():
            self._closing.set()
            self._keeper.join()
            with suppress(OSError):  # a full disk: nothing here could make it better
                self._cut_if_too_long()
                self._close_up()
            os.close(self.descriptor)

    def _keep(self) -> None:
        while not self._closing.wait(self._look_every_s):
            with suppress(OSError):
                self._cut_if_too_long()

    def _cut_if_too_long(self) -> None:
        size = os.fstat(self.descriptor).st_size
        if size - self._hole_bytes <= self._max_bytes:
            return
        begin = HEAD_BYTES + self._hole_bytes
        end = size - min(TAIL_BYTES, self._max_bytes // 2)
        if end > begin:
            if _punch_hole(self.descriptor, begin, end - begin):
                self._hole_bytes += end - begin
                self.cut_bytes += end - begin
            else:
                self.cut_bytes += end - begin
                self._rewrite(end)

    def _close_up(self) -> None:
        if self._hole_bytes:
            self._rewrite(HEAD_BYTES + self._hole_bytes)

    def _rewrite(self, end: int) -> None:
        """Leave out what lies between the head and `end`; what is kept is bounded by the sizes above."""
        head = os.pread(self.descriptor, HEAD_BYTES, 0)
        rest = os.pread(self.descriptor, self._max_bytes, end)
        os.ftruncate(self.descriptor, 0)
        os.write(self.descriptor, head + f"\n[proofload cut {self.cut_bytes} bytes out here]\n".encode() + rest)


def tail_of(path: Path, lines: int = 20) -> str:
    """The last lines of a file that may be huge or missing ("")."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - max(HEAD_BYTES, lines * _LINE_CHARS * 4)))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    clean = [_ESCAPES.sub("", line).rstrip() for line in text.splitlines()]
    return "\n".join(line if len(line) <= _LINE_CHARS else line[:_LINE_CHARS] + " …" for line in clean[-lines:])


def _punch_hole(descriptor: int, offset: int, length: int) -> bool:
    """Give these bytes' blocks back to the file system; False where it cannot."""
    fallocate = getattr(ctypes.CDLL(None), "fallocate", None)
    if fallocate is None:
        return False
    offset_t = ctypes.c_longlong
    status: int = fallocate(descriptor, _KEEP_SIZE_PUNCH_HOLE, offset_t(offset), offset_t(length))
    return status == 0
