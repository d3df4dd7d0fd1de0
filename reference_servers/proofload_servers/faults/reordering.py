"""Some answers are held back, so that those of later messages overtake them: work handed to a pool of threads."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from proofload_servers.serving.seams import Seams

from ._fault import Fault, chances


@dataclass(frozen=True, slots=True)
class Options:
    """A share of the answers, for `ms`."""

    share: float = 0.05
    ms: float = 100.0
    seed: int = 1


def plant(options: Options) -> Seams:
    draw = chances(options.seed, "reordering").random

    def disorderly(worker: type[Any]) -> type[Any]:
        class Disorderly(worker):  # type: ignore[misc]  # whatever the worker is
            def _answer(self, incoming: Any, result: Any) -> None:
                if draw() >= options.share:
                    super()._answer(incoming, result)
                    return
                timer = threading.Timer(options.ms / 1e3, super()._answer, (incoming, result))
                timer.daemon = True
                timer.start()

        return Disorderly

    return Seams(stream_worker=disorderly)


FAULT = Fault(
    "answers of later messages overtake some",
    scenario="kafka-delivery",
    options=Options,
    plant=plant,
    servers=("kafka",),
)
