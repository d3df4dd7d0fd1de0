"""Some predictions differ: a model that was exported with another preprocessing, seen only for some inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from proofload_servers.serving.answer import Answer
from proofload_servers.serving.batcher import Finish, Work
from proofload_servers.serving.seams import Seams

from ._fault import Fault, chances

SHIFT = 0.3


@dataclass(frozen=True, slots=True)
class Options:
    share: float = 0.05
    seed: int = 1


def plant(options: Options) -> Seams:
    draw = chances(options.seed, "wrong-predictions").random

    def differing(finish: Finish) -> Finish:
        def maybe_another(work: Work, prediction: Any, queue_ms: float, compute_ms: float) -> Answer:
            told = another(prediction) if draw() < options.share else prediction
            return finish(work, told, queue_ms, compute_ms)

        return maybe_another

    return Seams(finish=differing)


def another(prediction: Any) -> Any:
    """A prediction that could be one: another class, or a number that is off; a probability stays one."""
    if isinstance(prediction, dict):
        return prediction | {"class": prediction["class"] + 1}
    if 0.0 <= prediction <= 1.0:
        return prediction + SHIFT if prediction < 0.5 else prediction - SHIFT
    return prediction * (1.0 + SHIFT)


FAULT = Fault("a share of the predictions is wrong", scenario="canary-rollback", options=Options, plant=plant)
