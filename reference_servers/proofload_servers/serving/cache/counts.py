"""The metrics of a prediction cache; a server without one has none of them.

Every admitted request is one of hit, miss, joined and skipped, so that the share of hits is theirs of the sum.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class CacheCounts:
    """`remote`: has a peer that may fail, and no say in what that one drops or holds."""

    def __init__(self, registry: CollectorRegistry, *, remote: bool) -> None:
        def counter(name: str, told: str) -> Counter:
            return Counter(f"proofload_cache_{name}", told, registry=registry)

        def gauge(name: str, told: str, mode: str) -> Gauge:
            return Gauge(f"proofload_cache_{name}", told, registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]

        self.hits = counter("hits", "Requests answered from the cache")
        self.misses = counter("misses", "Requests that the cache did not know")
        self.joined = counter("joined", "Requests that waited for the computation of an equal one")
        self.skipped = counter("skipped", "Requests that were not looked up: the cache was away, or too much waited")
        if remote:
            self.errors = counter("errors", "Round trips that failed or were late, entries that were foreign or spoilt")
            self.opened = counter("opened", "Times the cache was given up for a while")
            self.up = gauge("up", "1 while the cache is asked", "livemin")
        else:
            self.evictions = counter("evictions", "Entries dropped to make room")
            self.entries = gauge("entries", "Predictions kept", "livesum")
