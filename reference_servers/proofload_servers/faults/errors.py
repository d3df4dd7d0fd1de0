"""Some requests fail with status 500: a code path that the tests did not reach."""

from __future__ import annotations

from dataclasses import dataclass

from proofload_servers.serving.batcher import Work
from proofload_servers.serving.refusals import Failed
from proofload_servers.serving.seams import Admit, Seams

from ._fault import Fault, chances


@dataclass(frozen=True, slots=True)
class Options:
    share: float = 0.05
    seed: int = 1


def plant(options: Options) -> Seams:
    draw = chances(options.seed, "errors").random

    def failing(admit: Admit) -> Admit:
        def fail_or_admit(works: list[Work]) -> None:
            if draw() < options.share:
                raise Failed
            admit(works)

        return fail_or_admit

    return Seams(admit=failing)


FAULT = Fault("fails a share of the requests with status 500", scenario="canary-rollback", options=Options, plant=plant)
