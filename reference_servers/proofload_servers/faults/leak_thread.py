"""Some requests start a thread that waits for something that never comes."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass

from proofload_servers.serving.batcher import Work
from proofload_servers.serving.refusals import Failed
from proofload_servers.serving.seams import Admit, Seams

from ._fault import Fault


@dataclass(frozen=True, slots=True)
class Options:
    """One in `every` requests starts one. Where no more can be started, these requests fail."""

    every: int = 50

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError("every must be at least 1")


def plant(options: Options) -> Seams:
    never = threading.Event()
    numbers = itertools.count(1)

    def leaking(admit: Admit) -> Admit:
        def start_and_admit(works: list[Work]) -> None:
            if next(numbers) % options.every == 0:
                try:
                    threading.Thread(target=never.wait, name="callback", daemon=True).start()
                except RuntimeError as exc:
                    raise Failed from exc
            admit(works)

        return start_and_admit

    return Seams(admit=leaking)


FAULT = Fault("starts threads that never end", scenario="soak", options=Options, plant=plant)
