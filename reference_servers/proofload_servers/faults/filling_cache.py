"""A cache that fills with the first requests, and from then on drops the oldest entry for each new one."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from proofload_servers.serving.batcher import Work
from proofload_servers.serving.seams import Admit, Seams

from ._fault import Fault


@dataclass(frozen=True, slots=True)
class Options:
    """One entry of so many bytes for each request, and no more than `entries` of them."""

    entries: int = 2000
    bytes: int = 20_000


def plant(options: Options) -> Seams:
    cache: deque[bytes] = deque(maxlen=options.entries)

    def caching(admit: Admit) -> Admit:
        def remember_and_admit(works: list[Work]) -> None:
            cache.extend(b"\x01" * options.bytes for _ in works)
            admit(works)

        return remember_and_admit

    return Seams(admit=caching)


FAULT = Fault("a cache fills, then stays as it is", scenario="soak", options=Options, plant=plant, control=True)
