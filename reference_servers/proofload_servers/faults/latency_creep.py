"""Each computation takes longer the older the process is: a table that is scanned and never pruned."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proofload_servers.serving.batcher import Compute
from proofload_servers.serving.seams import Seams

from ._fault import Fault


@dataclass(frozen=True, slots=True)
class Options:
    """Milliseconds that are added to each computation, per second of the server's age."""

    ms_per_s: float = 0.2


def plant(options: Options) -> Seams:
    born = time.monotonic()

    def creeping(compute: Compute) -> Compute:
        def slower_and_slower(rows: list[Any]) -> Sequence[Any]:
            time.sleep((time.monotonic() - born) * options.ms_per_s / 1e3)
            return compute(rows)

        return slower_and_slower

    return Seams(compute=creeping)


FAULT = Fault("answers take longer as the process ages", scenario="soak", options=Options, plant=plant)
