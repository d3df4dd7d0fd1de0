"""The core seen from a front end: start it, submit requests, ask for its state, drain it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Literal

from .answer import Answer
from .batcher import Batcher, Finish, Result, Work
from .cache import Cache, open_cache
from .cache.address import told
from .cache.admission import CachedAdmission
from .cache.counts import CacheCounts
from .cache.keys import keys_of
from .card import Card, card_of
from .devices import check_device
from .drift import watch
from .inline import Inline
from .kinds import Kind, input_of, kind_of
from .metrics import Metrics
from .model import LoadedModel, load
from .policy import adaptive, static
from .refusals import Expired, InvalidInput, NotReady, StartupError
from .seams import HEALTHY, Seams
from .security import Caller, check_exposure, guard_of
from .settings import Settings

State = Literal["starting", "ready", "draining", "stopped", "failed"]
LOG = logging.getLogger("proofload_servers.service")
LONGEST_ID = 128
CACHE_END_S = 1.0


class Service:
    """One model being served. Thread-safe; `start` makes it.

    State goes starting -> ready -> draining -> stopped, or to failed when loading or warm-up breaks. Live means neither
    failed nor stopped; the start-up probe is satisfied once loading is over; ready means ready.
    """

    def __init__(self, settings: Settings, card: Card, kind: Kind, seams: Seams = HEALTHY) -> None:
        self.settings = settings
        self.card = seams.card(card)
        self.metrics = Metrics()
        self.guard = guard_of(settings, self.metrics)
        """Asked by front ends before anything else; None where everybody may ask anything."""
        self._drift = watch(card, self.metrics)
        self.seams = seams
        self._turn_away = seams.begin_drain(self._stop_being_ready)
        self._is_ready = seams.ready(lambda: self._state == "ready")
        self._admit = seams.admit(self._enqueue)
        self._kind = seams.kind(kind)
        self._model: LoadedModel | None = None
        self._batcher: Batcher | None = None
        self._cache: Cache | None = None
        self._cached: CachedAdmission | None = None
        self._failure: StartupError | None = None
        self._state: State = "starting"
        self._state_lock = threading.Lock()
        self._started_up = threading.Event()

    @classmethod
    def start(cls, settings: Settings) -> Service:
        """Checks at once what can be checked (device, model card), then loads and warms up in the background.

        Raises StartupError for what is wrong at once. What goes wrong later makes the state "failed" and is raised by
        `wait_ready`.
        """
        seams = _seams(settings)
        settings = seams.settings(settings)
        card, kind = check(settings)
        service = cls(settings, card, kind, seams)
        threading.Thread(target=service._load, name="model-loader", daemon=True).start()
        return service

    def _load(self) -> None:
        try:
            model = self.seams.load(load)(self.card, self._kind, self.settings)
        except StartupError as exc:
            self._fail(exc)
        except Exception as exc:
            LOG.exception("loading the model failed")
            self._fail(StartupError(f"the model {self.card.name} could not be loaded: {exc}"))
        else:
            self._open(model)
        self._started_up.set()

    def _fail(self, reason: StartupError) -> None:
        self._failure = reason
        self._state = "failed"
        LOG.error("%s", reason)

    def _open(self, model: LoadedModel) -> None:
        settings = self.settings
        policy = (adaptive if settings.adaptive else static)(model.max_batch, settings.max_delay_ms / 1e3)
        finish = self.seams.finish(self._finish)
        self._model = model
        batcher = self.seams.batcher(Inline if settings.inference == "inline" else Batcher)(
            self.seams.compute(model.compute),
            finish,
            policy,
            self.metrics,
            max_queue=settings.max_queue,
            max_wait_s=settings.max_wait_ms / 1e3,
            item_s=model.item_s,
        )
        if settings.cache != "none":
            self._open_cache(model, batcher, finish)
        self._batcher = batcher
        self.metrics.watch_depth(lambda: self.queue_depth)
        card = self.card
        self.metrics.model(card.name, card.version, card.framework, settings.device, card.schema_sha256)
        with self._state_lock:
            if self._state == "starting":
                self._state = "ready"
        LOG.info("ready", extra={"model": card.name, "version": card.version, "device": settings.device})

    def _open_cache(self, model: LoadedModel, batcher: Batcher, finish: Finish) -> None:
        settings = self.settings
        counts = CacheCounts(self.metrics.registry, remote=settings.cache != "memory")
        key_of = keys_of(self.card, self._kind, device=settings.device, runtime=model.runtime)
        self._cache = open_cache(settings, counts)
        self._cached = CachedAdmission(
            self._cache,
            self.seams.cache_key(key_of),
            batcher.put,
            finish,
            counts=counts,
            metrics=self.metrics,
            most_held=settings.max_queue,
        )

    @property
    def state(self) -> State:
        return self._state

    @property
    def live(self) -> bool:
        return self._state not in {"failed", "stopped"}

    @property
    def started(self) -> bool:
        """Loading and warm-up are over, well."""
        return self._started_up.is_set() and self._failure is None

    @property
    def ready(self) -> bool:
        return self._is_ready()

    @property
    def queue_depth(self) -> int:
        """Requests waiting for computation."""
        return self._batcher.depth if self._batcher is not None else 0

    @property
    def in_flight(self) -> int:
        """Requests admitted and not yet answered."""
        held = self._cached.held if self._cached is not None else 0
        return held + (self._batcher.pending if self._batcher is not None else 0)

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Blocks until warm. Raises StartupError when that fails or takes longer."""
        if not self._started_up.wait(timeout_s):
            raise StartupError(f"the model {self.card.name} was not ready within {timeout_s:g} s")
        if self._failure is not None:
            raise self._failure

    def info(self) -> dict[str, Any]:
        """What /model/info says: the model, its schema and how it is run."""
        card, settings, model = self.card, self.settings, self._model
        return {
            "name": card.name,
            "version": card.version,
            "framework": card.framework,
            "kind": card.kind,
            "features": [dict(feature) for feature in card.features],
            "schema_sha256": card.schema_sha256,
            "files": dict(card.files),
            "device": settings.device,
            "threads": settings.threads,
            "inference": settings.inference,
            "runtime": model.runtime if model is not None else None,
            "batching": {
                "max_batch": model.max_batch if model is not None else settings.max_batch,
                "max_delay_ms": settings.max_delay_ms,
                "adaptive": settings.adaptive,
                "max_queue": settings.max_queue,
                "max_wait_ms": settings.max_wait_ms,
            },
            "cache": {
                "kept_in": told(settings.cache),
                "entries": settings.cache_entries if settings.cache == "memory" else None,
                "ttl_s": settings.cache_ttl_s,
            }
            if settings.cache != "none"
            else None,
        }

    def submit(
        self, request: Mapping[str, Any], *, deadline_ns: int | None, request_id: str, arrived_ns: int = 0
    ) -> Future[Answer]:
        """Admits one request body of the contract; the answer's id is the body's, else `request_id`.

        `arrived_ns` (time.monotonic_ns) is when the request reached the server, for a front end that knows of waiting
        before this call: such waiting counts as queue time and against the longest wait.

        Raises InvalidInput, Overloaded, NotReady or Expired at once; the future raises Expired or Failed.
        Cancelling the future before its computation begins spares the computation.
        """
        work, future = self._future_work(request, deadline_ns, request_id, arrived_ns)
        self._admit([work])
        return future

    def submit_many(
        self,
        requests: Sequence[Mapping[str, Any]],
        *,
        deadline_ns: int | None,
        request_id: str,
        arrived_ns: int = 0,
        caller: Caller | None = None,
    ) -> list[Future[Answer]]:
        """Admits all of them or none, with futures in the same order. Ids left out are `request_id`-0, -1 and so on.

        `caller` was charged for one request, and is for the others here.
        """
        limit = min(self.settings.max_instances, self.settings.max_queue)
        if len(requests) > limit:
            raise InvalidInput(f"at most {limit} instances in one call", code="too_many_instances", status=413)
        if self.guard is not None and caller is not None:
            self.guard.more(caller, len(requests) - 1)
        pairs = []
        for position, request in enumerate(requests):
            try:
                pairs.append(self._future_work(request, deadline_ns, f"{request_id}-{position}", arrived_ns))
            except InvalidInput as exc:
                raise InvalidInput(f"instances[{position}]: {exc.message}", code=exc.code) from exc
        self._admit([work for work, _ in pairs])
        return [future for _, future in pairs]

    def submit_to(
        self,
        request: Mapping[str, Any],
        done: Callable[[Result], None],
        *,
        deadline_ns: int | None,
        request_id: str,
        arrived_ns: int = 0,
    ) -> None:
        """As `submit`, with `done(Answer | Refusal)` called once on the batching thread, which it must not hold up.

        With a cache also on this thread, before this returns, or on the cache's.
        """
        self._admit([self._work(request, done, deadline_ns, request_id, arrived_ns)])

    def _future_work(
        self, request: Mapping[str, Any], deadline_ns: int | None, request_id: str, arrived_ns: int
    ) -> tuple[Work, Future[Answer]]:
        future: Future[Answer] = Future()

        def done(result: Result) -> None:
            if future.set_running_or_notify_cancel():
                if isinstance(result, Answer):
                    future.set_result(result)
                else:
                    future.set_exception(result)

        work = self._work(request, done, deadline_ns, request_id, arrived_ns)
        work.future = future
        return work, future

    def _work(
        self,
        request: Mapping[str, Any],
        done: Callable[[Result], None],
        deadline_ns: int | None,
        request_id: str,
        arrived_ns: int,
    ) -> Work:
        if self._batcher is None:
            raise NotReady("the model is not ready")
        kind = self._kind
        given_id = request.get("id")
        if given_id is None:
            given_id = request_id
        elif not isinstance(given_id, str) or len(given_id) > LONGEST_ID:
            raise InvalidInput(f"id must be text of at most {LONGEST_ID} characters")
        row = kind.prepare(input_of(request, kind.member))
        features = kind.explain(row) if request.get("explain") is True else None
        return Work(given_id, request_id, row, deadline_ns, done, features, enqueued_ns=arrived_ns)

    def _enqueue(self, works: list[Work]) -> None:
        batcher = self._batcher
        if batcher is None or self._state == "stopped":
            raise NotReady("the server is shutting down")
        deadline_ns = works[0].deadline_ns
        if deadline_ns is not None and time.monotonic_ns() >= deadline_ns:
            for _ in works:
                self.metrics.expired()
            raise Expired
        (self._cached or batcher.put)(works)

    def _finish(self, work: Work, prediction: Any, queue_ms: float, compute_ms: float) -> Answer:
        card = self.card
        if self._drift is not None:
            self._drift.see(work.row, prediction)
        return Answer(work.id, prediction, card.name, card.version, queue_ms, compute_ms, work.features)

    def begin_drain(self) -> None:
        """Not ready from now on, so that balancers turn away; requests that still come are served."""
        self._turn_away()

    def _stop_being_ready(self) -> None:
        with self._state_lock:
            if self._state in {"starting", "ready"}:
                self._state = "draining"

    def drain(self, timeout_s: float) -> bool:
        """Not ready, nothing more admitted, waits for what is in flight. False when some of it had to be refused."""
        self.begin_drain()
        until_s = time.monotonic() + timeout_s
        if self._cached is not None:
            self._cached.settle(timeout_s)
        settled = self._batcher.close(max(0.0, until_s - time.monotonic())) if self._batcher is not None else True
        if self._cache is not None:
            self._cache.close(CACHE_END_S)
        if self._failure is None:
            self._state = "stopped"
        return settled


def _seams(settings: Settings) -> Seams:
    """The healthy ones, unless faults were asked for."""
    if not settings.fault:
        return HEALTHY
    from proofload_servers.faults import planted

    return planted(settings.fault)


def check(settings: Settings) -> tuple[Card, Kind]:
    """Everything that can be refused without loading the graph: device, model folder, card. Raises StartupError.

    Imports ONNX Runtime, which must not happen before a fork: its background threads are missing in the child, where
    ending the process then aborts.
    """
    check_device(settings.device, tf32=settings.tf32)
    return check_early(settings)


def check_early(settings: Settings) -> tuple[Card, Kind]:
    """The part of `check` that a program may do before it forks: who may call, and what the model's card says."""
    check_exposure(settings)
    card = card_of(settings.model, settings.fixtures)
    return card, kind_of(card)
