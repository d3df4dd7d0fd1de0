"""A few answers come much later than the rest: a lookup that goes to a slow replica now and then."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from proofload_servers.serving.batcher import Result, Work
from proofload_servers.serving.seams import Admit, Seams

from ._fault import Fault, chances


@dataclass(frozen=True, slots=True)
class Options:
    """A share of the answers is held back for `ms`; the others are not touched."""

    share: float = 0.02
    ms: float = 200.0
    seed: int = 1


def plant(options: Options) -> Seams:
    draw = chances(options.seed, "slow-tail").random

    def tailed(admit: Admit) -> Admit:
        def mark_and_admit(works: list[Work]) -> None:
            for work in works:
                if draw() < options.share:
                    _hold_back(work, options.ms / 1e3)
            admit(works)

        return mark_and_admit

    return Seams(admit=tailed)


def _hold_back(work: Work, seconds: float) -> None:
    done = work.done

    def later(result: Result) -> None:
        timer = threading.Timer(seconds, done, (result,))
        timer.daemon = True
        timer.start()

    work.done = later


FAULT = Fault("a share of the answers is much slower", scenario="canary-rollback", options=Options, plant=plant)
