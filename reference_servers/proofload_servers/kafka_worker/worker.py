"""The loop: take as many requests as there is room for, submit, reply, commit what is delivered."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from prometheus_client import Counter, Gauge

from proofload_servers.serving import Failed, Refusal, Result, StartupError
from proofload_servers.serving.logs import access

from . import messages
from .assignment import Assignment
from .clients import make_consumer
from .in_order import Done, InOrder
from .messages import Incoming, Reply
from .options import KafkaOptions
from .readiness import StreamService

LOG = logging.getLogger("proofload_servers.kafka")
ROUTE = "kafka"
POLL_S = 0.05
COMMIT_EVERY_S = 0.2
PAUSE_AFTER_S = 1.0
SETTLE_S = 10.0
STEP_S = 0.005
MOST_IN_FLIGHT = 10_000  # far below what the producer queues, so that it is never full
QUEUE_FULL_S = 0.001


class Worker:
    """One member of the group. `run` is its life; `stop` ends it from a signal handler.

    No more than `max_queue` requests (or MOST_IN_FLIGHT) are between consumer and delivered reply. When there is no
    room, nothing is taken; when that lasts, the partitions are paused, so that the poll that keeps the membership
    brings nothing.
    """

    def __init__(
        self, service: StreamService, options: KafkaOptions, producer: Any, *, mock: bool, replies: int
    ) -> None:
        self._service = service
        self._settings = service.settings
        self._options = options
        self._producer = producer
        self._reply_partitions = replies
        self._limit = min(service.settings.max_queue, MOST_IN_FLIGHT)
        self._in_flight = 0
        self._full_since: float | None = None
        self._paused = False
        self._commit_due = 0.0
        self._in_order = InOrder() if service.settings.cache != "none" else None
        self._stopping = False
        self._failure = ""
        self._assignment = Assignment(from_the_end=options.start_at == "latest", settle=self._settle)
        self._consumer = make_consumer(options, mock=mock, on_error=client_error, on_commit=_on_commit)
        registry = service.metrics.registry
        gauge = Gauge("proofload_kafka_in_flight", "Requests read and not yet answered for sure", registry=registry)
        gauge.set_function(lambda: self._in_flight)
        self._pauses = Counter("proofload_kafka_pauses_total", "Times the partitions were paused", registry=registry)
        self._forgotten = Counter(
            "proofload_kafka_forgotten_total", "Times the broker no longer had what came next", registry=registry
        )

    def stop(self) -> None:
        """Take nothing more; `run` then finishes what is in flight."""
        self._stopping = True

    def run(self) -> bool:
        """Until told to stop, or until a reply cannot be delivered. True when all that was taken was answered.

        Raises StartupError when the broker refuses what it was told of the group.
        """
        assignment, consumer = self._assignment, self._consumer
        consumer.subscribe(
            [self._options.input_topic],
            on_assign=self._given,
            on_revoke=assignment.on_revoke,
            on_lost=assignment.on_lost,
        )
        while not (self._stopping or self._failure):
            self._turn()
            if not self._service.reading or not assignment.given:
                self._service.reading = assignment.fetching(consumer)
            room = self._room()
            if room:
                for message in self._taken(room):
                    self._handle(message)
            else:
                self._hold()
        return self._leave()

    def _taken(self, room: int) -> list[Any]:
        first = self._consumer.poll(self._patience_s())
        if first is None:
            return []
        return [first, *self._consumer.consume(room - 1, 0)] if room > 1 else [first]

    def _room(self) -> int:
        """How many requests may be taken; once full, only when a quarter is free again."""
        room = self._limit - self._in_flight
        if self._full_since is None:
            if room <= 0:
                self._full_since = time.monotonic()
            return max(0, room)
        if room * 4 < self._limit:
            return 0
        self._full_since = None
        if self._paused and self._assignment.given:
            self._resume(self._consumer.assignment())
        return room

    def _given(self, consumer: Any, partitions: list[Any]) -> None:
        """A share is assigned. The client would keep a partition paused that was so when it was taken away."""
        self._assignment.on_assign(consumer, partitions)
        if self._paused:
            self._resume(partitions)

    def _resume(self, partitions: list[Any]) -> None:
        self._consumer.resume(partitions)
        self._paused = False

    def _hold(self) -> None:
        self._wait()
        if self._full_since is not None and time.monotonic() - self._full_since > PAUSE_AFTER_S:
            if not self._paused:
                self._consumer.pause(self._consumer.assignment())
                self._pauses.inc()
                self._paused = True
            message = self._consumer.poll(0)
            if message is not None:  # a share that was assigned this moment
                self._handle(message)

    # One request.

    def _handle(self, message: Any) -> None:
        error = message.error()
        if error is not None:
            self._reading_failed(error, message)
            return
        incoming = messages.read(message, self._assignment.share)
        self._assignment.take(incoming.partition, incoming.offset)
        self._in_flight += 1
        done: Done = partial(self._answer, incoming)
        if self._in_order is not None:
            done = self._in_order.next(incoming.partition, done)
        try:
            request, deadline_ns = messages.request_of(incoming, self._settings.max_body_kib * 1024)
            self._service.submit_to(request, done, deadline_ns=deadline_ns, request_id=incoming.request_id)
        except Refusal as refusal:
            done(refusal)
        except Exception:  # whatever is in a message, the next one gets its turn
            LOG.exception("a request could not be handled", extra={"request_id": incoming.request_id})
            done(Failed())

    def _reading_failed(self, error: KafkaError, message: Any) -> None:
        if error.code() == KafkaError.INVALID_SESSION_TIMEOUT:  # no other attempt would end otherwise
            raise StartupError(
                f"--session-timeout-s {self._options.session_s:g}: the broker takes no such session; by default "
                "they take 6 s to 30 min (its group.min.session.timeout.ms and group.max.session.timeout.ms)"
            )
        LOG.error("reading partition %s failed: %s", message.partition(), error)
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # the broker has forgotten what comes next: on with the rest
            self._assignment.skip_to_oldest(self._consumer, message.partition())
            self._forgotten.inc()

    def _answer(self, incoming: Incoming, result: Result) -> None:
        """On the batching thread, or on the consumer's for what is refused at once."""
        reply = messages.reply_to(incoming, result)
        try:
            self._send(incoming, reply)
        except KafkaException as exc:
            LOG.error("a reply cannot be sent: %s", exc.args[0], extra={"request_id": incoming.request_id})
            self._send_failure(incoming)
        seconds = (time.monotonic_ns() - incoming.read_ns) / 1e9
        self._service.metrics.request(ROUTE, reply.status, seconds)
        if self._settings.access_log:
            access(ROUTE, reply.status, seconds, incoming.request_id)

    def _send_failure(self, incoming: Incoming) -> None:
        """In place of a reply that is too large. A producer that takes nothing at all any more ends the worker."""
        try:
            self._send(incoming, messages.reply_to(incoming, Failed()))
        except KafkaException as exc:
            self._failure = f"the producer gave up: {exc.args[0]}"

    def _send(self, incoming: Incoming, reply: Reply) -> None:
        self._produce(incoming, reply, on_delivery=partial(self._delivered, incoming))

    def _produce(self, incoming: Incoming, reply: Reply, **reported: Any) -> None:
        """Same partition number as the request's: replies keep its order, and fill few message sets."""
        while True:
            try:
                self._producer.produce(
                    self._options.output_topic,
                    reply.value,
                    key=incoming.correlation,
                    headers=reply.headers,
                    partition=incoming.partition % self._reply_partitions,
                    **reported,
                )
            except BufferError:
                time.sleep(QUEUE_FULL_S)
            else:
                return

    def _delivered(self, incoming: Incoming, error: KafkaError | None, _message: Any) -> None:
        self._in_flight -= 1
        if error is None:
            if incoming.share == self._assignment.share:
                self._assignment.finish(incoming.partition, incoming.offset)
        elif not self._failure:
            self._failure = f"a reply could not be delivered: {error}"

    # Time passing, commits and the end.

    def _patience_s(self) -> float:
        """How long to wait for the next request."""
        return POLL_S if self._service.reading else STEP_S

    def _turn(self) -> None:
        """What is to be done before the next requests are taken."""
        self._producer.poll(0)
        self._commit_sometimes()

    def _wait(self) -> None:
        """Let replies get on their way, without taking requests."""
        self._producer.poll(STEP_S)

    def _owed(self, partitions: Sequence[int]) -> int:
        """Requests of these partitions that are not answered for sure."""
        return self._assignment.in_flight(partitions)

    def _commit(self) -> None:
        self._assignment.commit(self._consumer, wait=True)

    def _commit_sometimes(self) -> None:
        now = time.monotonic()
        if now >= self._commit_due:
            self._assignment.commit(self._consumer)
            self._commit_due = now + COMMIT_EVERY_S

    def _settle(self, partitions: Sequence[int]) -> None:
        """The group takes partitions away: finish what is in flight of them, within reason, and commit it."""
        until = time.monotonic() + min(SETTLE_S, self._settings.drain_s)
        while self._owed(partitions) and time.monotonic() < until and not self._failure:
            self._wait()
        self._commit()

    def _leave(self) -> bool:
        """Nothing more is read; finish, commit, leave the group."""
        self._service.begin_drain()
        until = time.monotonic() + self._settings.drain_s
        while self._in_flight and not self._failure and time.monotonic() < until:
            self._wait()
        if self._failure:
            LOG.error("%s; what was not committed will be read again", self._failure)
        elif self._in_flight:
            LOG.error("%d requests were not answered within the drain time", self._in_flight)
        self._commit()
        self._consumer.close()
        self._service.reading = False
        drained = self._service.drain(timeout_s=max(0.1, until - time.monotonic()))
        return drained and not self._in_flight and not self._failure


def _on_commit(error: KafkaError | None, _partitions: object) -> None:
    if error is not None and error.code() != KafkaError._NO_OFFSET:
        LOG.warning("a commit failed: %s", error)


def client_error(error: KafkaError) -> None:
    LOG.warning("kafka: %s", error)
