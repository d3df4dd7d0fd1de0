"""A model brought to the point where it can serve: file checked, session open, warmed up at the sizes it will see."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .card import Card
from .kinds import Kind
from .session import Session, open_session
from .settings import Settings

WARM_UP_RUNS = 3  # of each size; the first one allocates, the others measure
# Batching gains on one CPU core where a call costs more than its arithmetic (the scorer: 16 times less per request in a
# batch of 32). A heavy network gains 2 % there and makes everyone wait for the whole batch.
LARGEST_ON_CPU = {"vector": 32, "transaction": 32, "image": 1}
LARGEST_ON_GPU = {"vector": 64, "transaction": 64, "image": 32}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """`compute` turns rows into predictions of the same number and order; `item_s` is its measured time per request."""

    compute: Callable[[list[Any]], Sequence[Any]]
    max_batch: int
    item_s: float
    runtime: str


def largest_batch(settings: Settings, kind: str) -> int:
    """The batch size asked for, or the one that suits kind and device."""
    by_kind = LARGEST_ON_CPU if settings.device == "cpu" else LARGEST_ON_GPU
    return settings.max_batch or by_kind.get(kind, 8)


def load(card: Card, kind: Kind, settings: Settings) -> LoadedModel:
    """Reads, opens and warms up. Raises StartupError."""
    card.check_files()
    max_batch = largest_batch(settings, card.kind)
    session = open_session(
        card.model_file,
        device=settings.device,
        threads=settings.threads,
        max_batch=max_batch,
        input_name=card.input.get("name"),
        output_name=card.output.get("name"),
        trt_cache=settings.trt_cache,
        tf32=settings.tf32,
        spinning=settings.spinning,
    )
    compute = computation(kind, session)
    item_s = warm_up(compute, kind, max_batch)
    return LoadedModel(compute, max_batch, item_s, session.runtime)


def computation(kind: Kind, session: Session) -> Callable[[list[Any]], Sequence[Any]]:
    """Rows -> predictions."""

    def compute(rows: list[Any]) -> Sequence[Any]:
        return kind.predictions(session.run(kind.stack(rows)))

    return compute


def warm_up(compute: Callable[[list[Any]], Sequence[Any]], kind: Kind, max_batch: int) -> float:
    """Runs batches of 1, 2, 4 … `max_batch`, so that no caller pays for a first time. Seconds per request, measured."""
    row = kind.sample()
    sizes = sorted({1 << power for power in range(max_batch.bit_length()) if 1 << power <= max_batch} | {max_batch})
    per_item: list[float] = []
    for size in sizes:
        times = []
        for _ in range(WARM_UP_RUNS):
            begun = time.perf_counter()
            compute([row] * size)
            times.append(time.perf_counter() - begun)
        per_item.append(statistics.median(times) / size)
    return min(per_item)
