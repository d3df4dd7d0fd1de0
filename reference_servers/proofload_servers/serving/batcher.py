"""The one queue and the one thread between callers and the model.

Admission is bounded twice, by count and by expected wait, because a queue that is short in requests may be long in
seconds. What expired while it waited is dropped before the computation, which nobody would read.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from .answer import Answer
from .metrics import Metrics
from .policy import Policy
from .refusals import Expired, Failed, NotReady, Overloaded, Refusal

Result = Answer | Refusal
LOG = logging.getLogger("proofload_servers.batcher")
SMOOTHING = 0.2  # weight of the newest batch in the measured service time
SHORTEST_RETRY_S = 0.05


@dataclass(slots=True)
class Work:
    """One admitted request. `row` is what the kind of model prepared; `done` is called once, on the batching thread,
    or with a cache on the cache's or the caller's."""

    id: str
    request_id: str
    row: Any
    deadline_ns: int | None
    done: Callable[[Result], None]
    features: Mapping[str, Any] | None = None
    future: Future[Answer] | None = None  # a cancelled one is not computed
    enqueued_ns: int = 0  # when it arrived, if a front end knows that, else when it was admitted


Compute = Callable[[list[Any]], Sequence[Any]]
"""Rows -> predictions, as many and in the same order."""
Finish = Callable[[Work, Any, float, float], Answer]
"""(work, prediction, queue_ms, compute_ms) -> answer."""


class Batcher:
    """Owns the batching thread. `put` from any thread; `compute` runs on the batching thread alone."""

    def __init__(
        self,
        compute: Compute,
        finish: Finish,
        policy: Policy,
        metrics: Metrics,
        *,
        max_queue: int,
        max_wait_s: float,
        item_s: float,
    ) -> None:
        self._compute = compute
        self._finish = finish
        self._policy = policy
        self._metrics = metrics
        self._max_queue = max_queue
        self._max_wait_s = max_wait_s
        self._item_s = item_s  # measured seconds of computation per request, batching gain included
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._admission = threading.Lock()
        self._pending = 0  # admitted and not yet answered, under the lock
        self._computing = 0  # of these, in the computation under way
        self._settled = threading.Condition(self._admission)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    @property
    def depth(self) -> int:
        """Requests waiting: admitted, and not in the computation under way. A batch that still fills is waiting."""
        return max(0, self._pending - self._computing)

    @property
    def pending(self) -> int:
        """Requests admitted and not yet answered."""
        return self._pending

    @property
    def closed(self) -> bool:
        """Nothing more is admitted."""
        return self._closed

    def put(self, works: Sequence[Work]) -> None:
        """Admits all or none. Raises Overloaded, or NotReady once closed.

        The wait that is bounded is the whole one: what a request has waited since its arrival, and what is expected.
        """
        count = len(works)
        with self._admission:
            if self._closed:
                raise NotReady("the server is shutting down")
            now = time.monotonic_ns()
            waiting = self.depth
            expected_s = waiting * self._item_s
            if works[0].enqueued_ns:
                expected_s += (now - works[0].enqueued_ns) / 1e9
            if waiting + count > self._max_queue or (0.0 < self._max_wait_s < expected_s):
                self._metrics.shed(count)
                raise Overloaded(retry_after_s=max(SHORTEST_RETRY_S, expected_s))
            self._pending += count
            for work in works:
                work.enqueued_ns = work.enqueued_ns or now
                self._queue.put(work)

    def close(self, timeout_s: float) -> bool:
        """Admits nothing more, lets what was admitted finish, ends the thread. False when the time was too short.

        What is left then is answered with NotReady, so that no caller waits for ever.
        """
        with self._settled:
            self._closed = True
            settled = self._settled.wait_for(lambda: self._pending == 0, timeout_s)
        if not settled:
            self._refuse_the_rest()
        self._queue.put(None)
        self._thread.join(timeout=1.0 if settled else 0.1)
        return settled

    def _refuse_the_rest(self) -> None:
        while True:
            try:
                work = self._queue.get_nowait()
            except queue.Empty:
                return
            if work is not None:
                self._answer([(work, NotReady("the server is shutting down"))])

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            # Asked again: a deadline may have passed while the batch waited for company.
            batch = [work for work in self._collect(first) if self._wanted(work)]
            self._metrics.depth(self.depth)
            if batch:
                self._serve(batch)

    def _collect(self, first: Work) -> list[Work]:
        """A batch of work that is still wanted, by the policy's size and delay."""
        batch = [first] if self._wanted(first) else []
        size, wait_s = self._policy(self._queue.qsize() + 1)
        until_ns = first.enqueued_ns + int(wait_s * 1e9)
        while len(batch) < size:
            try:
                if self._queue.qsize():
                    work = self._queue.get_nowait()
                else:
                    left_s = (until_ns - time.monotonic_ns()) / 1e9
                    if left_s <= 0.0 or not batch:
                        break
                    work = self._queue.get(timeout=left_s)
            except queue.Empty:
                break
            if work is None:  # closing: this batch is the last
                self._queue.put(None)
                break
            if self._wanted(work):
                batch.append(work)
        return batch

    def _wanted(self, work: Work) -> bool:
        """Whether somebody still waits for it; if not, it is answered here and costs no computation."""
        if work.future is not None and work.future.cancelled():
            self._answer([(work, Expired("the caller gave up"))])
            return False
        if work.deadline_ns is not None and time.monotonic_ns() >= work.deadline_ns:
            self._metrics.expired()
            self._answer([(work, Expired())])
            return False
        return True

    def _serve(self, batch: list[Work]) -> None:
        begun_ns = time.monotonic_ns()
        self._computing = len(batch)
        results: list[tuple[Work, Result]]
        try:
            predictions = self._compute([work.row for work in batch])
            if len(predictions) != len(batch):
                raise ValueError(f"{len(predictions)} predictions for {len(batch)} requests")
        except Exception:  # whatever broke, the callers get an answer and the thread lives on
            LOG.exception("a batch failed", extra={"request_ids": [work.request_id for work in batch]})
            results = [(work, Failed()) for work in batch]
        else:
            taken_s = (time.monotonic_ns() - begun_ns) / 1e9
            self._item_s += SMOOTHING * (taken_s / len(batch) - self._item_s)
            queued_s = [(begun_ns - work.enqueued_ns) / 1e9 for work in batch]
            self._metrics.batch(queued_s, taken_s)
            results = [
                (work, self._finish(work, prediction, wait_s * 1e3, taken_s * 1e3))
                for work, prediction, wait_s in zip(batch, predictions, queued_s, strict=True)
            ]
        self._answer(results)

    def _answer(self, results: list[tuple[Work, Result]]) -> None:
        for work, result in results:
            try:
                work.done(result)
            except Exception:  # one caller's broken callback must not cost the others their answers
                LOG.exception("a caller's callback failed", extra={"request_id": work.request_id})
        with self._settled:
            self._pending -= len(results)
            self._computing = 0
            if self._pending == 0:
                self._settled.notify_all()
