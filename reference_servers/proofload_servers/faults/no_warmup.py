"""The first computations are slow: what a runtime compiles, tunes and allocates on first use, callers pay for.

ONNX Runtime on a CPU has next to nothing to warm, so the fault plays a runtime that has.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proofload_servers.serving.batcher import Compute
from proofload_servers.serving.seams import Seams

from ._fault import Fault


@dataclass(frozen=True, slots=True)
class Options:
    """The first of `calls` computations takes `first_ms` more; the excess falls evenly to nothing."""

    first_ms: float = 300.0
    calls: int = 6


def plant(options: Options) -> Seams:
    def cold(compute: Compute) -> Compute:
        numbers = itertools.count()

        def warming(rows: list[Any]) -> Sequence[Any]:
            left = options.calls - next(numbers)
            if left > 0:
                time.sleep(options.first_ms / 1e3 * left / options.calls)
            return compute(rows)

        return warming

    return Seams(compute=cold)


FAULT = Fault("the first computations of each worker are slow", scenario="cold-start", options=Options, plant=plant)
