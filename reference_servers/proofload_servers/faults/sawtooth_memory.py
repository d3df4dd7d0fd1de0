"""Memory that grows and is let go again, over and over: a buffer that is flushed when it is full."""

from __future__ import annotations

import mmap
import threading
import time
from dataclasses import dataclass

from proofload_servers.serving.seams import Seams

from ._fault import Fault

STEP_S = 0.1
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Options:
    """Grows by `mib` in each period, then drops to nothing."""

    mib: int = 48
    period_s: float = 8.0

    def __post_init__(self) -> None:
        if self.period_s < 2 * STEP_S:
            raise ValueError(f"period_s must be at least {2 * STEP_S:g}")


def plant(options: Options) -> Seams:
    threading.Thread(target=_fill_and_flush, args=(options,), name="buffer", daemon=True).start()
    return Seams()


def _fill_and_flush(options: Options) -> None:
    """Mapped by ourselves: what the C library does with freed memory would blur the teeth."""
    steps = max(1, round(options.period_s / STEP_S))
    size = max(1, options.mib * MIB // steps)
    while True:
        held = []
        for _ in range(steps):
            block = mmap.mmap(-1, size)
            block.write(b"\x01" * size)
            held.append(block)
            time.sleep(STEP_S)
        for block in held:
            block.close()


FAULT = Fault(
    "memory grows and falls, with a short period", scenario="soak", options=Options, plant=plant, control=True
)
