"""Sample columns in memory shared by one engine process and the lab.

The engine process writes rows, the lab copies settled ones out. A row's number never repeats; its slot
is the number modulo the capacity. Three counters order everything:

    drained ≤ settled ≤ planned        rows the lab has copied, rows that will not change any more,
                                       rows whose plan (due time, payload) is written

Interned texts (error kinds, model versions) lie in the same memory, written before the first row that
uses them, so that a number read from a settled row always has its text.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from proofload.records import SAMPLE_DTYPE

_HEADER_BYTES = 4096
_NAMES_BYTES = 256 * 1024
_NAMES_MAX = 2000
_ENTRY_BYTES = 128
_PLANNED, _SETTLED, _DRAINED, _NAMES_END = range(4)
_TYPECODES: dict[str, Literal["q", "i", "H", "B", "f"]] = {
    "int64": "q",
    "int32": "i",
    "uint16": "H",
    "uint8": "B",
    "float32": "f",
}


class Ring:
    """Columns of SAMPLE_DTYPE over a file descriptor of shared memory; `capacity` is a power of two."""

    def __init__(self, fd: int, capacity: int) -> None:
        self.fd = fd
        self.capacity = capacity
        self.mask = capacity - 1
        self._map = mmap.mmap(fd, _size(capacity))
        memory = memoryview(self._map)
        self._counters = memory[:_HEADER_BYTES].cast("q")
        self._names = memory[_HEADER_BYTES : _HEADER_BYTES + _NAMES_BYTES]
        self.arrays: dict[str, NDArray[np.generic]] = {}
        self.views: dict[str, memoryview[Any]] = {}
        start = _HEADER_BYTES + _NAMES_BYTES
        for name, dtype in _columns():
            end = start + capacity * dtype.itemsize
            self.arrays[name] = np.frombuffer(memory[start:end], dtype=dtype)
            self.views[name] = memory[start:end].cast(_TYPECODES[dtype.name])
            start = end
        self._ids: dict[tuple[str, str], int] = {}

    @classmethod
    def allocate(cls, rows: int) -> Ring:
        """A new ring for at least `rows` rows in flight, in anonymous memory that ends with its users."""
        capacity = 1 << max(14, (rows - 1).bit_length())
        fd = os.memfd_create("proofload-samples")
        os.ftruncate(fd, _size(capacity))
        return cls(fd, capacity)

    @property
    def planned(self) -> int:
        return self._counters[_PLANNED]

    @planned.setter
    def planned(self, rows: int) -> None:
        self._counters[_PLANNED] = rows

    @property
    def settled(self) -> int:
        return self._counters[_SETTLED]

    @settled.setter
    def settled(self, rows: int) -> None:
        self._counters[_SETTLED] = rows

    @property
    def drained(self) -> int:
        return self._counters[_DRAINED]

    def slots(self, first: int, count: int) -> Iterator[tuple[slice, slice]]:
        """(slice of slots, slice of the rows they hold, from 0) for rows first … first+count."""
        done = 0
        while done < count:
            slot = (first + done) & self.mask
            step = min(count - done, self.capacity - slot)
            yield slice(slot, slot + step), slice(done, done + step)
            done += step

    def drain(self) -> NDArray[np.void]:
        """Copy out all settled rows and free their slots (the lab's side)."""
        first, count = self.drained, self.settled - self.drained
        rows = np.empty(count, dtype=SAMPLE_DTYPE)
        for slots, part in self.slots(first, count):
            for name, column in self.arrays.items():
                rows[name][part] = column[slots]
        self._counters[_DRAINED] = first + count
        return rows

    def intern(self, kind: str, text: str) -> int:
        """The number of a text (the engine's side). The list is bounded: later texts share "(other)"."""
        key = (kind, text[:_ENTRY_BYTES])
        number = self._ids.get(key)
        if number is not None:
            return number
        if len(self._ids) >= _NAMES_MAX and text != "(other)":
            return self.intern(kind, "(other)")
        entry = f"{kind}\0{key[1]}".encode("utf-8", "replace")[:_ENTRY_BYTES]
        end = self._counters[_NAMES_END]
        self._names[end : end + 2] = struct.pack("<H", len(entry))
        self._names[end + 2 : end + 2 + len(entry)] = entry
        self._counters[_NAMES_END] = end + 2 + len(entry)
        self._ids[key] = len(self._ids) + 1
        return self._ids[key]

    def names(self) -> list[tuple[str, str]]:
        """All interned (kind, text), in order of their numbers from 1 (the lab's side)."""
        found, at, end = [], 0, self._counters[_NAMES_END]
        while at < end:
            (length,) = struct.unpack("<H", self._names[at : at + 2])
            kind, _, text = bytes(self._names[at + 2 : at + 2 + length]).decode("utf-8", "replace").partition("\0")
            found.append((kind, text))
            at += 2 + length
        return found

    def close(self) -> None:
        """Give up the file descriptor; the memory goes when the last view of it does."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _columns() -> Iterator[tuple[str, np.dtype[np.generic]]]:
    for name in SAMPLE_DTYPE.names or ():
        yield name, SAMPLE_DTYPE[name]


def _size(capacity: int) -> int:
    return _HEADER_BYTES + _NAMES_BYTES + capacity * sum(dtype.itemsize for _, dtype in _columns())
