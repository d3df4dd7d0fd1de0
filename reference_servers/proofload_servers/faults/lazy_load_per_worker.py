"""Each worker process loads its model, sub-models and all, when its first request comes, and says ready before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proofload_servers.serving.batcher import Compute
from proofload_servers.serving.card import Card
from proofload_servers.serving.kinds import Kind
from proofload_servers.serving.model import LoadedModel, largest_batch
from proofload_servers.serving.seams import Load, Seams
from proofload_servers.serving.settings import Settings

from ._fault import Fault
from .slow_load import after

MIB = 1 << 20
SUPPOSED_ITEM_S = 0.001


@dataclass(frozen=True, slots=True)
class Options:
    """How much longer loading takes, and the memory of the sub-models that are loaded along."""

    load_s: float = 1.0
    mib: int = 48


def plant(options: Options) -> Seams:
    def lazy(load: Load) -> Load:
        slowly = after(options.load_s)(load)

        def promise(card: Card, kind: Kind, settings: Settings) -> LoadedModel:
            loaded: list[LoadedModel] = []
            weights: list[bytes] = []

            def compute(rows: list[Any]) -> Sequence[Any]:
                if not loaded:
                    weights.append(b"\x01" * (options.mib * MIB))
                    loaded.append(slowly(card, kind, settings))
                return loaded[0].compute(rows)

            return _not_loaded(compute, card, settings)

        return promise

    return Seams(load=lazy)


def _not_loaded(compute: Compute, card: Card, settings: Settings) -> LoadedModel:
    return LoadedModel(compute, largest_batch(settings, card.kind), SUPPOSED_ITEM_S, "onnxruntime")


FAULT = Fault(
    "loads the model with the first request of each worker", scenario="cold-start", options=Options, plant=plant
)
