"""The prediction cache, off unless --cache asks for it: bounded and in this process, or a Redis that several share.

    address.py     what --cache may say
    keys.py        from the row that the model gets to the key: equal keys mean equal predictions of the same model
    entries.py     a prediction as JSON that proves to belong to its key; nothing is ever unpickled
    memory.py      the least recently used go first
    remote.py      Redis on a thread and event loop of its own; late, broken or lying, it never fails a request
    admission.py   between a front end's call and the queue: recalled, joined to an equal one under way, or computed
    counts.py      the metrics

Of a call with several instances each is looked up and kept by itself. Instances come again in other company, whole
calls hardly ever do; one key then serves single calls, batches, streams and messages alike, and of a call that is known
in part only the rest is computed. What that costs is one look-up per instance, which Redis answers for a whole call,
and for all calls that wait at the time, in one round trip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from proofload_servers.serving.cache.counts import CacheCounts
    from proofload_servers.serving.settings import Settings

Found = Callable[[Sequence[Any] | None], None]
"""Takes what was found, one for each key, None for an unknown one; or None as a whole, when nothing could be asked."""


class Cache(Protocol):
    """Where predictions are kept. Safe from any thread, and nothing here raises."""

    def look_up(self, keys: Sequence[bytes], found: Found) -> None:
        """Calls `found` once: at once on this thread, or soon on another. `found` must neither raise nor block."""

    def keep(self, key: bytes, prediction: Any) -> None:
        """From now on, as far as there is room and time. What JSON does not give back as it was is not kept."""

    def close(self, timeout_s: float) -> None:
        """Asks and keeps nothing more; a look-up that still comes is told None."""


def open_cache(settings: Settings, counts: CacheCounts) -> Cache:
    """What `settings.cache` names, which is not "none". Raises StartupError when the library for it is missing; a Redis
    that is not there is no error, now or later.
    """
    if settings.cache == "memory":
        from .memory import MemoryCache

        return MemoryCache(settings.cache_entries, settings.cache_ttl_s, counts)
    from .remote import RemoteCache

    return RemoteCache(
        settings.cache, ttl_s=settings.cache_ttl_s, budget_s=settings.cache_budget_ms / 1e3, counts=counts
    )
