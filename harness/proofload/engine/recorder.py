"""Brings samples home: drains the sources, writes segments, passes on what engines say.

One thread of the lab. Its memory is bounded by the segments' size, whatever the run's length.
"""

from __future__ import annotations

import selectors
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload import errors
from proofload.clock import NS_PER_S
from proofload.engine.source import Source
from proofload.errors import MeasurementError, ProofloadError
from proofload.placing import give_way
from proofload.records import SAMPLE_DTYPE, Event, Outcome
from proofload.store.folder import Recording

_DRAIN_EVERY_S = 0.05
_SEGMENT_EVERY_NS = 2 * NS_PER_S
_SEGMENT_ROWS = 400_000
_RECENT_NS = 2 * NS_PER_S
_LIVE_ROWS = 10_000
"""Percentiles for the eye are taken of about so many rows: the lab may share a core with the target."""


@dataclass(slots=True)
class _Attached:
    """One source, and what it said so far."""

    source: Source
    opened: bool = False
    idle: bool = True
    gone: bool = False
    planned: Mapping[str, int] = field(default_factory=dict)
    lookup: NDArray[np.uint16] = field(default_factory=lambda: np.zeros(1, dtype=np.uint16))


@dataclass(frozen=True, slots=True)
class Live:
    """The last two seconds, for the progress line and nothing else; None is not known (yet). Send lag as its p99;
    `not_ok` since the load began."""

    due_rps: float
    done_rps: float
    p50_ms: float | None
    p99_ms: float | None
    not_ok: int
    send_lag_ms: float | None


@dataclass(frozen=True, slots=True)
class Told:
    """A load in a line, for the eye: percentiles are of a thinned sample."""

    total: int
    ok: int
    p50_ms: float | None
    p99_ms: float | None


class _Thinned:
    """Latencies of a load, each k-th of them, k growing so that never more than a few ten thousand are kept."""

    def __init__(self) -> None:
        self._kept: list[NDArray[np.float64]] = []
        self._count = 0
        self._step = 1

    def clear(self) -> None:
        self._kept, self._count, self._step = [], 0, 1

    def add(self, rows: NDArray[np.void]) -> None:
        rows = rows[:: self._step]
        answered = rows[rows["done_ns"] > 0]
        self._kept.append((answered["done_ns"] - answered["intended_ns"]) / 1e6)
        self._count += len(answered)
        if self._count > 4 * _LIVE_ROWS:
            self._kept = [np.concatenate(self._kept)[::2]]
            self._count = len(self._kept[0])
            self._step *= 2

    def quantile(self, q: float) -> float | None:
        values = np.concatenate(self._kept) if self._kept else np.empty(0)
        return float(np.quantile(values, q)) if len(values) else None


class Recorder:
    """See the module's text. `attach` all sources, `start`, …, `stop`."""

    def __init__(self, folder: Recording) -> None:
        self._folder = folder
        self._sources: list[_Attached] = []
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._failure: Exception | None = None
        self._pending: list[NDArray[np.void]] = []
        self._segment_due = 0
        self._names: dict[tuple[str, str], int] = {}
        self._recent: list[NDArray[np.void]] = []
        self._begun_ns = self._furthest_ns = 0
        self._thinned = _Thinned()
        self._taken: list[NDArray[np.void]] = []
        self._taking = False
        self._forgotten = False
        self.outcomes: Counter[int] = Counter()
        """Outcomes recorded since `begin`."""

    # Called by the lab's thread.

    def attach(self, source: Source) -> None:
        attached = _Attached(source)
        self._sources.append(attached)
        self._selector.register(source, selectors.EVENT_READ, attached)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is left and hang up on the engine processes."""
        self._stopping = True
        if self._thread.is_alive():
            self._thread.join()
        self._drain()
        self._write_segment()
        for attached in self._sources:
            attached.source.close()
        self._selector.close()

    def order(self, message: Mapping[str, Any]) -> None:
        """Tell all of them. Raises MeasurementError when one is gone; the others have heard it all the same."""
        lost: MeasurementError | None = None
        for attached in self._sources:
            try:
                self._order(attached, message)
            except MeasurementError as exc:
                lost = exc
        if lost is not None:
            raise lost

    def order_one(self, number: int, message: Mapping[str, Any]) -> None:
        self._order(self._sources[number], message)

    def _order(self, attached: _Attached, message: Mapping[str, Any]) -> None:
        try:
            attached.source.order(message)
        except OSError as exc:
            raise attached.source.loss(self._folder.logs) from exc

    def begin(self) -> None:
        """New phases are about to be ordered."""
        self.raise_failure()
        with self._lock:
            for source in self._sources:
                source.idle = False
            self.outcomes.clear()
            self._recent.clear()
            self._taken.clear()
            self._thinned.clear()
            self._taking = self._forgotten = False
            self._begun_ns = monotonic_ns()
            self._furthest_ns = 0

    def taken(self) -> NDArray[np.void]:
        """Rows that became final since the last call, by due time.

        They are kept for it from the first call on, which must come while all rows are still recent.
        """
        with self._lock:
            self._drain()
            if not self._taking and self._forgotten:
                raise RuntimeError("rows were let go before they were first asked for: ask within two seconds")
            rows = self._taken if self._taking else list(self._recent)
            self._taken, self._taking = [], True
        if not rows:
            return np.empty(0, SAMPLE_DTYPE)
        together = np.concatenate(rows)
        return together[np.argsort(together["intended_ns"], kind="stable")]

    def opening(self) -> None:
        """An arm is about to be opened."""
        self.raise_failure()
        with self._lock:
            for source in self._sources:
                source.opened = False

    def wait_opened(self, patience_s: float) -> None:
        with self._lock:
            done = self._lock.wait_for(
                lambda: self._failure is not None or all(source.opened for source in self._sources), patience_s
            )
        failure = self._failure
        if failure is not None:
            if not isinstance(failure, MeasurementError):  # this arm cannot be opened; the engine is sound
                self._failure = None
            raise failure
        if not done:
            raise MeasurementError(
                f"an engine process was not ready within {patience_s:g} s", remedy="look at logs/engine-*.log"
            )

    def wait_idle(self, patience_s: float) -> bool:
        """True once every request of the ordered phases is final and drained."""
        with self._lock:
            done = self._lock.wait_for(
                lambda: self._failure is not None or all(source.idle for source in self._sources), patience_s
            )
        self.raise_failure()
        return done

    def settle(self, patience_s: float) -> None:
        """After a cut: wait until all that can is idle, whatever failed. One that is gone is not waited for."""
        with self._lock:
            self._lock.wait_for(lambda: all(one.idle or one.gone for one in self._sources), patience_s)

    def flush(self) -> None:
        """Everything settled so far is in closed segments when this returns. So is what can be said of requests
        that a source took with it."""
        with self._lock:
            self._drain()
            # The others were cut at instants of their own: what is gone owes what was due until their last request.
            ended_ns = monotonic_ns() if all(one.gone for one in self._sources) else self._furthest_ns
            for one in self._sources:
                if one.gone and not one.idle and (counts := one.source.write_off(ended_ns)) is not None:
                    one.planned, one.idle = counts, True
            self._drain()
            self._write_segment()

    @property
    def idle(self) -> bool:
        """Whether every engine process said that all of the ordered phases is final."""
        return all(source.idle for source in self._sources)

    @property
    def planned(self) -> dict[int, int]:
        """Requests planned by phase, as the engine processes count them."""
        totals: Counter[int] = Counter()
        for source in self._sources:
            totals.update({int(phase): count for phase, count in source.planned.items()})
        return totals

    def told(self) -> Told:
        """All rows recorded since `begin`, in a line."""
        with self._lock:
            counts = dict(self.outcomes)
            middle, tail = self._thinned.quantile(0.5), self._thinned.quantile(0.99)
        return Told(sum(counts.values()), counts.get(int(Outcome.OK), 0), middle, tail)

    def live(self) -> Live:
        """The last two seconds in numbers."""
        with self._lock:
            recent = list(self._recent)
            not_ok = sum(count for outcome, count in self.outcomes.items() if outcome != Outcome.OK)
        if not recent:
            return Live(0.0, 0.0, None, None, not_ok, None)
        count = sum(map(len, recent))
        done = sum(np.count_nonzero(rows["outcome"] == Outcome.OK) for rows in recent)
        rows = np.concatenate([rows[:: max(1, count // _LIVE_ROWS)] for rows in recent])
        span_s = max(0.1, min(_RECENT_NS, monotonic_ns() - self._begun_ns) / NS_PER_S)
        answered = rows[rows["done_ns"] > 0]
        latency = (answered["done_ns"] - answered["intended_ns"]) / 1e6
        sent = rows[rows["dispatched_ns"] > 0]
        lag = (sent["dispatched_ns"] - sent["intended_ns"]) / 1e6
        return Live(
            due_rps=count / span_s,
            done_rps=done / span_s,
            p50_ms=float(np.quantile(latency, 0.5)) if len(latency) else None,
            p99_ms=float(np.quantile(latency, 0.99)) if len(latency) else None,
            not_ok=not_ok,
            send_lag_ms=float(np.quantile(lag, 0.99)) if len(lag) else None,
        )

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    # The recorder's own thread.

    def _run(self) -> None:
        give_way()
        try:
            while not self._stopping:
                for key, _ in self._selector.select(_DRAIN_EVERY_S):
                    self._listen(key.data)
                with self._lock:
                    self._drain()
                    if monotonic_ns() >= self._segment_due or sum(map(len, self._pending)) >= _SEGMENT_ROWS:
                        self._write_segment()
                        self._folder.flush_readings()
        except Exception as exc:  # noqa: BLE001  whatever it is, the lab's thread must hear of it
            self._fail(exc)

    def _fail(self, exc: Exception) -> None:
        with self._lock:
            self._failure = self._failure or exc
            self._lock.notify_all()

    def _listen(self, attached: _Attached) -> None:
        said = attached.source.hear()
        if said is None:
            self._selector.unregister(attached.source)
            attached.gone = True
            self._fail(attached.source.loss(self._folder.logs))
            return
        for message in said:
            self._hear(attached, message)

    def _hear(self, source: _Attached, message: dict[str, Any]) -> None:
        match message.pop("event"):
            case "opened":
                with self._lock:
                    source.opened = True
                    self._lock.notify_all()
            case "idle":
                with self._lock:
                    self._drain()
                    source.planned = message["counts"]
                    source.idle = True
                    self._lock.notify_all()
            case "failed":
                self._fail(_error(message))
            case event:
                t_ns = message.pop("t_ns", monotonic_ns())
                self._folder.add_event(Event(t_ns, event, message))

    def _drain(self) -> None:
        for attached in self._sources:
            rows = attached.source.drain()
            if not len(rows):
                continue
            self._translate(attached, rows)
            self._pending.append(rows)
            self.outcomes.update(dict(enumerate(np.bincount(rows["outcome"]).tolist())))
            self._recent.append(rows)
            self._furthest_ns = max(self._furthest_ns, int(rows["intended_ns"].max()))
            self._thinned.add(rows)
            if self._taking:
                self._taken.append(rows)
        oldest = monotonic_ns() - _RECENT_NS
        kept = [rows for rows in self._recent if rows["intended_ns"][-1] >= oldest]
        self._forgotten |= len(kept) < len(self._recent)
        self._recent = kept

    def _translate(self, attached: _Attached, rows: NDArray[np.void]) -> None:
        """Engines number texts for themselves; the run folder has one numbering."""
        top = max(int(rows["error"].max()), int(rows["version"].max()))
        if top >= len(attached.lookup):
            attached.lookup = np.array([0, *map(self._number, attached.source.names())], dtype=np.uint16)
        if top:
            rows["error"] = attached.lookup[rows["error"]]
            rows["version"] = attached.lookup[rows["version"]]

    def _number(self, name: tuple[str, str]) -> int:
        number = self._names.get(name)
        if number is None:
            number = self._names[name] = len(self._names) + 1
            kind, text = name
            self._folder.add_event(Event(monotonic_ns(), "name", {"of": kind, "number": number, "text": text}))
        return number

    def _write_segment(self) -> None:
        self._segment_due = monotonic_ns() + _SEGMENT_EVERY_NS
        if self._pending:
            pending, self._pending = self._pending, []
            self._folder.add_samples(np.concatenate(pending))


def _error(message: Mapping[str, Any]) -> ProofloadError:
    """The error that an engine process met, as the same kind of error here."""
    kind = getattr(errors, message["type"], ProofloadError)
    error: ProofloadError = kind(
        message["what"], evidence=message["evidence"], cause=message["cause"], remedy=message["remedy"]
    )
    return error
