"""Kafka as request and reply: a message into one topic, its answer out of another, matched by a correlation id.

Target keys: url kafka://host:port[,host:port]; request.topic ("features"), request.correlation (the header that a
reply copies, "correlation-id"), request.keys (over how many message keys the payloads are spread; none by default),
request.headers; response.topic ("predictions"). A reply's header `status` tells an answer (200, or no such header)
from a shed (429, 503) and an error.

A thread waits for replies and hands them to the event loop in batches; all else happens on the loop. Replies are
found by partitions assigned by hand at their end, so no consumer group has to settle.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import orjson
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from proofload import brokers
from proofload.transports import Sink, TransportSpec
from proofload.transports import _kafka_client as client
from proofload.transports._kafka_delivery import Delivery
from proofload.transports._kafka_ids import DUPLICATE, LATE, UNKNOWN, Correlations

SCHEMES = ("kafka",)

_BATCH = 2000
"""Replies handed over at once, at most: bounds how long the loop is busy with them."""
_OPEN_S = 15.0
_STOP_CHECK_S = 0.1
_SERVE_S = 0.01
"""Between looks at failed deliveries, and at the client's queue when it was full."""
_TELL_EVERY = 100
"""Looks at deliveries between notes about stray replies: one second."""
_ACCOUNT_EVERY = 20
"""Looks between accounts of what was delivered late, twice or out of order: a fifth of a second."""
_EXAMPLE_BYTES = 400
_MOCK_UNDERWAY = 4000
"""A rate of 40,000/s at 100 ms each."""
_ANOMALIES = {UNKNOWN: "kafka-unknown", DUPLICATE: "kafka-duplicate", LATE: "kafka-late"}


def create(spec: TransportSpec, sink: Sink) -> KafkaTransport:
    return KafkaTransport(spec, sink)


def _most_kept(bodies: Sequence[bytes]) -> int:
    """Messages that may be under way at once through the embedded broker; more wait here, as for a connection.

    Never more than half of what it keeps: beyond that it forgets the oldest and whoever reads them stumbles. And
    no more than it gives back in a few seconds: a backlog lies there in small sets, of which it hands out few.
    """
    largest = max(map(len, bodies)) + brokers.RECORD_OVERHEAD_BYTES
    kept = brokers.PARTITIONS * min(brokers.RETAINED_MESSAGES, brokers.RETAINED_BYTES // largest)
    return max(1, min(kept // 2, _MOCK_UNDERWAY))


def _encoded(headers: Mapping[str, str]) -> list[tuple[str, bytes]]:
    return [(name, value.encode("utf-8")) for name, value in headers.items()]


class KafkaTransport:
    """See `proofload.transports.Transport`.

    Replies that are late, surplus or out of order are accounted for by events "delivery" (see _kafka_delivery.py).
    Replies that settle no row are counted by kind (`strays`) and noted with their count: "kafka-duplicate",
    "kafka-late" (to an abandoned row), and "kafka-unknown" as long as something was sent and no reply has matched:
    then the correlation header is wrong, while later it only means that others, further engine processes too, use
    the topic.
    """

    def __init__(self, spec: TransportSpec, sink: Sink) -> None:
        self._spec = spec
        self._sink = sink
        self._servers = client.bootstrap_servers(spec.url)
        self._topic = str(spec.request.get("topic") or "features")
        self._reply_topic = str(spec.response.get("topic") or "predictions")
        self._header = str(spec.request.get("correlation") or "correlation-id")
        self._fixed_headers = _encoded(spec.headers)
        self._own_headers = [_encoded({**spec.headers, **own}) for own in spec.payload_headers]
        self._bodies = list(spec.bodies)
        self._ids = Correlations(spec.worker)
        self._delivery = Delivery(int(spec.request.get("keys") or 0))
        self._waiting: deque[tuple[int, int]] = deque()
        self._given_up: set[int] = set()
        self._producer: Any = None
        self._consumer: Any = None
        self._thread: threading.Thread | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._inbox: deque[list[Any]] = deque()
        self._read_again: deque[TopicPartition] = deque()
        self._turns = 0
        self._most_underway = 0
        self._full = False
        self._matched = False
        self._closing = False
        self._told: Counter[str] = Counter()
        self.strays: Counter[str] = Counter()

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._loop.run_in_executor(None, self._prepare)
        self._thread = threading.Thread(target=self._receive, name="kafka-replies", daemon=True)
        self._thread.start()
        self._timer = self._loop.call_later(_SERVE_S, self._serve)

    def _prepare(self) -> None:
        asker = client.asker(self._servers)
        client.find_topic(asker, self._topic, self._servers, _OPEN_S)
        partitions, mock = client.find_topic(asker, self._reply_topic, self._servers, _OPEN_S)
        self._most_underway = _most_kept(self._bodies) if mock else sys.maxsize
        self._producer = client.producer(
            self._servers,
            mock=mock,
            timeout_s=self._spec.timeout_s,
            exact=bool(self._delivery.keys),
            on_error=self._broker_error,
        )
        client.find_topic(self._producer, self._topic, self._servers, _OPEN_S)  # so that the first message need not
        self._consumer = client.consumer(
            self._servers,
            name=f"proofload-{id(self):x}",
            mock=mock,
            max_answer_bytes=self._spec.max_answer_bytes,
            on_error=lambda error: self._from_thread(self._broker_error, error),
        )
        client.assign_at_end(self._consumer, self._reply_topic, partitions, _OPEN_S)

    # Requests.

    def send(self, row: int, payload: int) -> None:
        if self._waiting or not self._produce(row, payload):
            self._waiting.append((row, payload))

    def _produce(self, row: int, payload: int) -> bool:
        """Hand over to the client; False when its queue, or what the embedded broker surely keeps, is full."""
        if self._held_back(self._ids.underway):
            return False
        key = self._delivery.sent(self._ids.issued, payload)
        correlation = self._ids.issue(row)
        try:
            self._producer.produce(
                self._topic,
                self._bodies[payload],
                key=key,
                headers=[
                    (self._header, correlation),
                    *(self._own_headers[payload] if self._own_headers else self._fixed_headers),
                ],
                on_delivery=partial(self._undelivered, correlation),
            )
        except BufferError:
            self._ids.abandon(row)
            self._sink.note("kafka-queue-full", waiting=len(self._waiting) + 1)
            return False
        except KafkaException as exc:
            self._ids.abandon(row)
            error = exc.args[0]
            self._sink.failed(row, f"kafka{client.error_name(error)}", str(error))
        else:
            self._sink.sent(row)
        return True

    def _held_back(self, underway: int) -> bool:
        """Full until half empty: trickling on would make message sets of one, which the mock is slowest with."""
        if self._full:
            self._full = underway > self._most_underway // 2
        elif underway >= self._most_underway:
            self._full = True
            self._sink.note("kafka-held-back", underway=underway)
        return self._full

    def abandon(self, row: int) -> None:
        if not self._ids.abandon(row) and self._waiting:
            self._given_up.add(row)

    def _undelivered(self, correlation: bytes, error: KafkaError | None, _message: Any) -> None:
        """The client gave a message up. It may have reached the broker all the same."""
        if error is None or self._closing:
            return
        row = self._ids.fail(correlation)
        if row >= 0:
            self._sink.failed(row, f"kafka{client.error_name(error)}", str(error))

    def _serve(self) -> None:
        """Again and again: failed deliveries, requests that wait, what there is to tell."""
        self._producer.poll(0)
        waiting = self._waiting
        while waiting:
            row, payload = waiting[0]
            if row in self._given_up:
                self._given_up.discard(row)
            elif not self._produce(row, payload):
                break
            waiting.popleft()
        if not waiting:
            self._given_up.clear()
        self._turns += 1
        if self._turns % _TELL_EVERY == 0:
            self._tell_strays()
        if self._turns % _ACCOUNT_EVERY == 0:
            self._account()
        if not self._closing:
            self._timer = self._loop.call_later(_SERVE_S, self._serve)

    # Replies.

    def _receive(self) -> None:
        """The thread: waits, takes all there is, hands it over."""
        poll, consume, inbox = self._consumer.poll, self._consumer.consume, self._inbox
        while not self._closing:
            while self._read_again:  # here, because the client's seek hangs while another thread polls
                again = [self._read_again.popleft()]
                self._consumer.incremental_unassign(again)
                self._consumer.incremental_assign(again)
            first = poll(_STOP_CHECK_S)
            if first is not None:
                inbox.append([first, *consume(_BATCH, 0)])
                self._from_thread(self._take)

    def _from_thread(self, call: Any, *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    def _take(self) -> None:
        inbox, settle, answered = self._inbox, self._ids.settle, self._sink.answered
        while inbox:
            for message in inbox.popleft():
                if message.error() is not None:
                    self._reader_error(message)
                    continue
                correlation, status = self._read(message.headers())
                row = settle(correlation)
                if row < 0:
                    self._stray(row, message)
                    continue
                self._matched = True
                self._delivery.first_answer(self._ids.last, row, message.partition())
                if status == b"200":
                    answered(row, 200, message.value() or b"")
                else:
                    self._refused(row, status, message.value() or b"")

    def _stray(self, what: int, message: Any) -> None:
        """A reply that settles no row."""
        self.strays[_ANOMALIES[what]] += 1
        if what == UNKNOWN:
            return
        number = self._ids.last
        row = self._ids.row_of(number)
        if what == DUPLICATE:
            self._delivery.duplicated(row)
        else:
            self._delivery.late(row)
            self._delivery.first_answer(number, row, message.partition())

    def _read(self, headers: list[tuple[str, bytes | None]] | None) -> tuple[bytes | None, bytes]:
        """(correlation id, status) among a reply's headers."""
        correlation, status = None, b"200"
        for name, value in headers or ():
            if name == self._header:
                correlation = value
            elif name == "status":
                status = value or b""
        return correlation, status

    def _refused(self, row: int, text: bytes, body: bytes) -> None:
        detail = body[:_EXAMPLE_BYTES].decode("utf-8", "replace")
        try:
            status = int(text)
        except ValueError:
            self._sink.failed(row, "protocol", f"the reply's status header is {text[:40]!r}")
            return
        if status in (429, 503):
            self._sink.shed(row, status)
        elif 200 <= status < 300:
            self._sink.answered(row, status, body)
        else:
            self._sink.failed(row, f"kafka-status-{status}", detail, status)

    # What is worth an event.

    def _reader_error(self, message: Any) -> None:
        """A partition of the reply topic cannot be read on; where the broker forgot replies, go on with the oldest."""
        error = message.error()
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._sink.note("kafka-replies-forgotten", partition=message.partition(), detail=str(error))
            self._read_again.append(TopicPartition(self._reply_topic, message.partition(), OFFSET_BEGINNING))
        else:
            self._sink.note("kafka-reader", error=client.error_name(error), detail=str(error))

    def _broker_error(self, error: Any) -> None:
        self._sink.note("kafka-broker", error=client.error_name(error), detail=str(error))

    def _tell_strays(self) -> None:
        for kind, total in self.strays.items():
            fresh = total - self._told[kind]
            if fresh and not (kind == _ANOMALIES[UNKNOWN] and (self._matched or not self._ids.issued)):
                self._told[kind] = total
                self._sink.note(kind, count=fresh, total=total)

    def _account(self) -> None:
        news = self._delivery.news()
        if news is not None:
            self._sink.tell("delivery", **news)

    def decode(self, body: bytes) -> Any:
        return orjson.loads(body)

    async def close(self) -> None:
        if self._closing or self._producer is None:
            return
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            await self._loop.run_in_executor(None, self._thread.join)
            self._tell_strays()
            self._account()
        await self._loop.run_in_executor(None, self._release)

    def _release(self) -> None:
        """Drops what was not sent; waits for nothing and nobody."""
        self._producer.purge()
        self._producer.flush(0)
        if self._consumer is not None:
            self._consumer.close()
