"""Answers of a batch come back in another order than its requests: a race, or a sort that was never undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proofload_servers.serving.batcher import Compute
from proofload_servers.serving.seams import Seams

from ._fault import Fault, chances


@dataclass(frozen=True, slots=True)
class Options:
    """`share` of the batches of two requests or more."""

    share: float = 0.2
    seed: int = 1


def plant(options: Options) -> Seams:
    draw = chances(options.seed, "cross-talk").random

    def mixed_up(compute: Compute) -> Compute:
        def compute_and_rotate(rows: list[Any]) -> Sequence[Any]:
            predictions = list(compute(rows))
            if len(predictions) > 1 and draw() < options.share:
                predictions = [*predictions[1:], predictions[0]]
            return predictions

        return compute_and_rotate

    return Seams(compute=mixed_up)


FAULT = Fault("swaps answers within a batch", scenario="skew", options=Options, plant=plant)
