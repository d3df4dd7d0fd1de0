"""The page cache made cold for one target: its files are found while it runs, and dropped once it has stopped.

No privilege is needed, and nothing else of the machine's cache is touched. What other processes have mapped (the
interpreter, the C library) stays; how much went is measured, not assumed.
"""

from __future__ import annotations

import ctypes
import glob
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from proofload import _process_trees as trees
from proofload.procedures._cold_start import layers

MOST_FILES = 5000
_MINCORE = ctypes.CDLL(None, use_errno=True).mincore
_MINCORE.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was in the page cache before and after, in bytes, over all files."""

    files: int
    before_bytes: int
    after_bytes: int

    def told(self) -> Mapping[str, Any]:
        return asdict(self)


def family(pids: Sequence[int]) -> list[int]:
    """The processes and all below them that live."""
    processes = trees.snapshot()
    found = trees.descendants(pids, processes)
    return sorted(pid for pid in found if pid in processes and not processes[pid].ended)


def files_in_use(pids: Iterable[int]) -> set[Path]:
    """Regular files that the processes have mapped or open now; of those in a container, the files of its image and
    volumes as this host names them."""
    found: set[Path] = set()
    for pid in pids:
        found.update(layers.here(pid, _names_in_use(pid)))
    return {path for path in found if os.path.isfile(path)}  # noqa: PTH113  False where it may not be looked at


def _names_in_use(pid: int) -> set[str]:
    found: set[str] = set()
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines():
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and fields[5].startswith("/"):
                found.add(fields[5])
    with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with suppress(OSError):
                found.add(os.readlink(entry.path))  # noqa: PTH115  a link to what may be no path
    return {name for name in found if name.startswith("/")}


def files_named(words: Iterable[str], patterns: Iterable[str]) -> set[Path]:
    """Files that a command or its environment names, all files below folders it names, and those of glob patterns.

    A server that reads its model and closes it again has it neither mapped nor open. Folders of programs and the
    root are left alone.
    """
    found: set[Path] = set()
    for word in words:
        if "/" in word:
            found.update(below(Path(word)))
    for pattern in patterns:
        for name in glob.iglob(pattern, recursive=True):  # noqa: PTH207  patterns may be absolute
            found.update(below(Path(name)))
    return found


def drop(paths: Iterable[Path]) -> Dropped:
    """Asks the kernel to forget their clean pages; files that may not be read are passed over."""
    files = before = after = 0
    for path in sorted(paths)[:MOST_FILES]:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            held = _resident_bytes(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            after += _resident_bytes(descriptor)
            before += held
            files += 1
        except OSError:
            continue  # a file of another kind than it seemed
        finally:
            os.close(descriptor)
    return Dropped(files, before, after)


def below(path: Path) -> Iterator[Path]:
    """The file, or the files below the folder, unless that is one of programs."""
    if path.is_file():
        yield path
    elif path.is_dir() and path.is_absolute() and len(path.parts) > 2 and "bin" not in path.parts:
        count = 0
        for inner in path.rglob("*"):
            if inner.is_file():
                yield inner
                count += 1
                if count >= MOST_FILES:
                    return


def _resident_bytes(descriptor: int) -> int:
    size = os.fstat(descriptor).st_size
    if not size:
        return 0
    with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as mapped:
        pages = -(-size // mmap.PAGESIZE)
        vector = ctypes.create_string_buffer(pages)
        view = np.frombuffer(mapped, dtype=np.uint8)
        failed = _MINCORE(view.ctypes.data, size, vector)
        del view  # the map cannot be closed while it is looked at
        if failed:
            return 0
        return int(np.count_nonzero(np.frombuffer(vector.raw, dtype=np.uint8)[:pages] & 1)) * mmap.PAGESIZE
