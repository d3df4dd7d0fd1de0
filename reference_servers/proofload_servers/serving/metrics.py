"""Prometheus metrics of one service. Queue time and compute time stand apart, so that a slow answer has an address.

Queue and compute are observed once per request (a batch of ten counts its compute time ten times): then
sum ÷ count of both adds up to the mean time of a request in the core.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
FINE_SECONDS = (0.00005, 0.0001, 0.0002, *SECONDS)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """One registry of its own per service, so that two services in one process (tests) do not meet.

    Over several worker processes set PROMETHEUS_MULTIPROC_DIR before the first import of prometheus_client;
    any worker then renders the sum over all of them.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._shared = bool(os.environ.get("PROMETHEUS_MULTIPROC_DIR"))
        registry = self.registry
        self._requests = Histogram(
            "proofload_request_seconds",
            "From request read to answer ready, in the server",
            ("route", "status"),
            registry=registry,
            buckets=SECONDS,
        )
        self._queue = Histogram(
            "proofload_queue_seconds", "From admission to computation", registry=registry, buckets=FINE_SECONDS
        )
        self._compute = Histogram(
            "proofload_compute_seconds", "Computation of the batch", registry=registry, buckets=FINE_SECONDS
        )
        self._batch = Histogram("proofload_batch_size", "Requests per batch", registry=registry, buckets=BATCHES)
        self._depth = Gauge("proofload_queue_depth", "Requests waiting", registry=registry, multiprocess_mode="livesum")
        self._shed = Counter("proofload_shed_total", "Requests refused on purpose", registry=registry)
        self._expired = Counter("proofload_expired_total", "Requests dropped at their deadline", registry=registry)
        self._turned_away = Counter(
            "proofload_turned_away_total",
            "Requests refused for who sent them, or how often",
            ("reason",),
            registry=registry,
        )
        self._info = Gauge(
            "proofload_model_info",
            "Always 1; the labels tell the model",
            ("name", "version", "framework", "device", "schema_sha256"),
            registry=registry,
            multiprocess_mode="max",
        )
        if not self._shared:
            ProcessCollector(registry=registry)
            GCCollector(registry=registry)
        self._routes: dict[tuple[str, int], Histogram] = {}

    def request(self, route: str, status: int, seconds: float) -> None:
        """One answered request. `route` is a fixed name such as "/v1/predict", never text from the request."""
        key = (route, status)
        child = self._routes.get(key)
        if child is None:
            child = self._routes[key] = self._requests.labels(route, str(status))
        child.observe(seconds)

    def batch(self, queued_s: Sequence[float], compute_s: float) -> None:
        """One computed batch: the wait of each of its requests, and the computation they shared."""
        self._batch.observe(len(queued_s))
        for seconds in queued_s:
            self._queue.observe(seconds)
            self._compute.observe(compute_s)

    def recalled(self, waited_s: float) -> None:
        """One request whose prediction was there already: its wait, and no computation."""
        self._queue.observe(waited_s)
        self._compute.observe(0.0)

    def shed(self, count: int = 1) -> None:
        """Requests refused at admission."""
        self._shed.inc(count)

    def turned_away(self, reason: str) -> None:
        """Requests refused by the guard: "unauthenticated", "forbidden" or "rate_limited"; never who sent them."""
        self._turned_away.labels(reason).inc()

    def expired(self) -> None:
        """A request dropped because its deadline had passed."""
        self._expired.inc()

    def model(self, name: str, version: str, framework: str, device: str, schema_sha256: str) -> None:
        """The model that is served."""
        self._info.labels(name, version, framework, device, schema_sha256).set(1)

    def watch_depth(self, depth: Callable[[], int]) -> None:
        """Where the queue depth is read from, at the time of each scrape (one process only)."""
        if not self._shared:
            self._depth.set_function(lambda: float(depth()))

    def depth(self, waiting: int) -> None:
        """The queue depth, told by the batching thread where scrapes may land in another process."""
        if self._shared:
            self._depth.set(waiting)

    def render(self) -> bytes:
        """The text that Prometheus scrapes, over all worker processes. Its type is CONTENT_TYPE."""
        if not self._shared:
            return generate_latest(self.registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        return generate_latest(everyone)
