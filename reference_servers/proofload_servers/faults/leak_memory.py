"""Requests are kept for a look at them later, and nobody ever looks or lets go."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Literal

from proofload_servers.serving.batcher import Work
from proofload_servers.serving.seams import Admit, Seams

from ._fault import Fault

PER_REQUEST = 20_000
PER_SECOND = 4_000_000
STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class Options:
    """`bytes` are kept for each request or in each second; 0 means 20,000 a request or 4,000,000 a second."""

    bytes: int = 0
    per: Literal["request", "second"] = "request"


def plant(options: Options) -> Seams:
    kept: list[bytes] = []
    if options.per == "second":
        size = options.bytes or PER_SECOND
        threading.Thread(target=_keep_on, args=(kept, size), name="history", daemon=True).start()
        return Seams()
    size = options.bytes or PER_REQUEST

    def leaking(admit: Admit) -> Admit:
        def keep(works: list[Work]) -> None:
            kept.extend(_content(size) for _ in works)
            admit(works)

        return keep

    return Seams(admit=leaking)


def _keep_on(kept: list[bytes], per_second: int) -> None:
    begun = time.monotonic()
    total = 0
    while True:
        time.sleep(STEP_S)
        due = int((time.monotonic() - begun) * per_second) - total
        kept.append(_content(due))
        total += due


def _content(size: int) -> bytes:
    """Written to, as only then it takes memory."""
    return b"\x01" * size


FAULT = Fault("keeps memory for ever, per request or per second", scenario="soak", options=Options, plant=plant)
