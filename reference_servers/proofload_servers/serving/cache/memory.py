"""The cache in this process: so many entries, the least recently used go first."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from . import Found
from .counts import CacheCounts
from .entries import as_json


class MemoryCache:
    """Each worker process has its own. Predictions lie as JSON: small, and nobody can change one that was handed out.

    `ttl_s` counts from when an entry was kept; 0: as long as there is room. What is too old is dropped when it is asked
    for, or makes room like the others.
    """

    def __init__(
        self, entries: int, ttl_s: float, counts: CacheCounts, *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = entries
        self._ttl_s = ttl_s
        self._counts = counts
        self._now_s = now_s
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def look_up(self, keys: Sequence[bytes], found: Found) -> None:
        with self._lock:
            texts = [self._text(key) for key in keys]
        found([None if text is None else orjson.loads(text) for text in texts])

    def _text(self, key: bytes) -> bytes | None:
        entry = self._kept.get(key)
        if entry is None:
            return None
        since_s, text = entry
        if self._ttl_s and self._now_s() - since_s >= self._ttl_s:
            del self._kept[key]
            self._counts.entries.set(len(self._kept))
            return None
        self._kept.move_to_end(key)
        return text

    def keep(self, key: bytes, prediction: Any) -> None:
        text = as_json(prediction)
        if text is None:
            return
        text = bytes(memoryview(text))  # orjson's own bytes hold on to the 4 KiB they were written into
        with self._lock:
            self._kept[key] = self._now_s(), text
            self._kept.move_to_end(key)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
                self._counts.evictions.inc()
            self._counts.entries.set(len(self._kept))

    def close(self, timeout_s: float) -> None:  # noqa: ARG002  nothing is under way
        with self._lock:
            self._kept.clear()
