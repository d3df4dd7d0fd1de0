"""Between a front end's call and the queue: what is known is answered, what is being computed already is waited for.

Only the first of equal requests goes on to the queue, the others join it and share its answer. So an entry that is
missing, or has just become too old, is computed once however many ask for it at that moment (a stampede, in a cache
without this). Expired is the one refusal they do not share, for it speaks of the first one's deadline: then the next
of them goes on.

An answer that is found is given though its deadline may have passed: it cost nothing. Answers that are found overtake
those that are computed; a front end whose answers must keep an order sees to that itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from proofload_servers.serving.answer import Answer
from proofload_servers.serving.batcher import Finish, Result, Work
from proofload_servers.serving.metrics import Metrics
from proofload_servers.serving.refusals import Expired, Failed, Refusal

from . import Cache
from .counts import CacheCounts
from .keys import KeyOf

LOG = logging.getLogger("proofload_servers.cache")
Put = Callable[[Sequence[Work]], None]
"""The queue's own admission: all or none, raises a Refusal."""


class CachedAdmission:
    """Takes the place of the queue's `put`. It holds `most_held` requests at most; beyond, they go straight on.

    A refusal by the queue comes through the request's callback, as the look-up may have moved on to another thread, or
    is raised where it had not yet begun. Of a call with several instances all that were not known are refused together.
    """

    def __init__(
        self,
        cache: Cache,
        key_of: KeyOf,
        put: Put,
        finish: Finish,
        *,
        counts: CacheCounts,
        metrics: Metrics,
        most_held: int,
    ) -> None:
        self._cache = cache
        self._key_of = key_of
        self._put = put
        self._finish = finish
        self._counts = counts
        self._metrics = metrics
        self._most_held = most_held
        self._changed = threading.Condition()
        self._under_way: dict[bytes, list[Work]] = {}  # key of the first -> those that joined it
        self._looking = 0  # being looked up
        self._joined = 0

    @property
    def held(self) -> int:
        """Requests that are neither answered nor in the queue."""
        return self._looking + self._joined

    def __call__(self, works: Sequence[Work]) -> None:
        now_ns = time.monotonic_ns()
        for work in works:
            work.enqueued_ns = work.enqueued_ns or now_ns
        firsts = self._sorted_out([(self._key_of(work.row), work) for work in works])
        if firsts is None:
            self._counts.skipped.inc(len(works))
            self._put(works)
        elif firsts:
            self._cache.look_up([key for key, _ in firsts], partial(self._found, firsts))

    def settle(self, timeout_s: float) -> None:
        """Waits until nothing is being looked up, so that what was admitted is in the queue before that closes."""
        with self._changed:
            self._changed.wait_for(lambda: self._looking == 0, timeout_s)

    def _sorted_out(self, keyed: Sequence[tuple[bytes, Work]]) -> Sequence[tuple[bytes, Work]] | None:
        """Those that are the first of their key; the others have joined. None: there is no room for so many."""
        firsts = []
        with self._changed:
            if self.held + len(keyed) > self._most_held:
                return None
            for key, work in keyed:
                joined = self._under_way.get(key)
                if joined is None:
                    self._under_way[key] = []
                    firsts.append((key, work))
                else:
                    joined.append(work)
            self._looking += len(firsts)
            self._joined += len(keyed) - len(firsts)
        return firsts

    def _found(self, firsts: Sequence[tuple[bytes, Work]], predictions: Sequence[Any] | None) -> None:
        """On the caller's thread or the cache's. The queue has its share before anybody is answered."""
        known: Sequence[Any] = [None] * len(firsts) if predictions is None else predictions
        missing = [one for one, prediction in zip(firsts, known, strict=True) if prediction is None]
        (self._counts.skipped if predictions is None else self._counts.misses).inc(len(missing))
        self._compute(missing)
        with self._changed:
            self._looking -= len(firsts)
            self._changed.notify_all()
        for (key, work), prediction in zip(firsts, known, strict=True):
            if prediction is not None:
                self._counts.hits.inc()
                answer = self._recalled(work, prediction)
                _tell(work.done, answer)
                self._share(key, answer)

    def _compute(self, missing: Sequence[tuple[bytes, Work]]) -> None:
        if not missing:
            return
        works = [work for _, work in missing]
        for key, work in missing:
            work.done = partial(self._computed, key, work.done)
        try:
            self._put(works)
        except Refusal as refusal:
            for work in works:
                work.done(refusal)

    def _computed(self, key: bytes, done: Callable[[Result], None], result: Result) -> None:
        """Kept before it is shared: who comes later finds either the entry or the computation under way."""
        if isinstance(result, Answer):
            self._cache.keep(key, result.prediction)
        _tell(done, result)
        self._share(key, result)

    def _share(self, key: bytes, result: Result) -> None:
        with self._changed:
            joined = self._under_way.pop(key)
            self._joined -= len(joined)
        if isinstance(result, Expired):
            self._once_more(joined)
            return
        for work in joined:
            if isinstance(result, Answer):
                self._counts.joined.inc()
                _tell(work.done, self._recalled(work, result.prediction))
            else:
                _tell(work.done, result)

    def _once_more(self, works: Sequence[Work]) -> None:
        """Each by itself: they came with different calls."""
        for work in works:
            try:
                self([work])
            except Refusal as refusal:
                _tell(work.done, refusal)

    def _recalled(self, work: Work, prediction: Any) -> Result:
        """All the time since it came is queue time and none is compute time, in the metrics too."""
        waited_s = (time.monotonic_ns() - work.enqueued_ns) / 1e9
        self._metrics.recalled(waited_s)
        try:
            return self._finish(work, prediction, waited_s * 1e3, 0.0)
        except Exception:
            LOG.exception("a known prediction could not be answered", extra={"request_id": work.request_id})
            return Failed()


def _tell(done: Callable[[Result], None], result: Result) -> None:
    try:
        done(result)
    except Exception:  # one caller's broken callback must not cost the others their answers
        LOG.exception("a caller's callback failed")
