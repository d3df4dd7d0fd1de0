"""Where a planted fault may take the place of a healthy part: named once, filled in when a service is made.

Each seam is given the healthy part and returns what is used in its place. They are applied while the service is put
together and never looked at again: a server without a fault runs the very objects it would run without seams.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .batcher import Batcher, Compute, Finish, Work
    from .cache.keys import KeyOf
    from .card import Card
    from .kinds import Kind
    from .model import LoadedModel
    from .settings import Settings

T = TypeVar("T")
Load = Callable[["Card", "Kind", "Settings"], "LoadedModel"]
"""Blocks until the model is warm; runs on a thread of its own."""
Admit = Callable[[list["Work"]], None]
"""Takes the requests of one call, or raises a Refusal. Runs on the caller's thread, be it the event loop's."""
Condition = Callable[[], bool]


def unchanged(part: T) -> T:
    """The healthy part itself."""
    return part


@dataclass(frozen=True, slots=True)
class Seams:
    """One member per seam. They stand in the order in which a service is put together."""

    settings: Callable[[Settings], Settings] = unchanged
    """What the server was told, before anything looks at it."""
    card: Callable[[Card], Card] = unchanged
    """Name, version and schema, as answers, /model/info and metrics tell them."""
    kind: Callable[[Kind], Kind] = unchanged
    """From the body of a request to the row that the model gets, and to the features it explains."""
    ready: Callable[[Condition], Condition] = unchanged
    """Whether readiness probes are answered with yes."""
    load: Callable[[Load], Load] = unchanged
    """From files to a warm model."""
    compute: Callable[[Compute], Compute] = unchanged
    """Rows to predictions, on the batching thread; the warm-up does not come by here."""
    finish: Callable[[Finish], Finish] = unchanged
    """From one prediction to its answer, on the batching thread, or for a cached one where it was found."""
    cache_key: Callable[[KeyOf], KeyOf] = unchanged
    """Under what a prediction is kept, and found again, where there is a cache."""
    batcher: Callable[[type[Batcher]], type[Batcher]] = unchanged
    """The queue: its bounds, its thread, what it drops."""
    admit: Callable[[Admit], Admit] = unchanged
    """Every request of every front end, once its input was found valid."""
    begin_drain: Callable[[Callable[[], None]], Callable[[], None]] = unchanged
    """What SIGTERM sets off first, in every front end."""
    stream_worker: Callable[[type[Any]], type[Any]] = unchanged
    """The Kafka worker's class: when it reads, replies and commits."""


HEALTHY = Seams()


def combined(several: Sequence[Seams]) -> Seams:
    """One set that applies all of them, the first one innermost."""
    joined = {field.name: _chain([getattr(one, field.name) for one in several]) for field in dataclasses.fields(Seams)}
    return Seams(**joined)


def _chain(steps: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def through_all(part: Any) -> Any:
        for step in steps:
            part = step(part)
        return part

    return through_all
