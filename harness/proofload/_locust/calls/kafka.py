"""Kafka by gevent users: one producer and one reader of replies for all of them, matched by a correlation id.

The Kafka client's own waiting would hold up every user, so it is only ever looked at in passing: one greenlet looks
for replies, and sleeps between looks. That costs a reply up to a few milliseconds; the engine's transport has no such
wait.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

import orjson
from confluent_kafka import KafkaException

from proofload.transports import Sink, TransportSpec
from proofload.transports import _kafka_client as client
from proofload.transports._kafka_ids import Correlations

_OPEN_S = 15.0
_LOOK_S = 0.002
_BATCH = 500


def create(spec: TransportSpec) -> KafkaCalls:
    return KafkaCalls(spec)


class KafkaCalls:
    """See `proofload._locust.calls.Calls`."""

    def __init__(self, spec: TransportSpec) -> None:
        self._spec = spec
        self._servers = client.bootstrap_servers(spec.url)
        self._topic = str(spec.request.get("topic") or "features")
        self._reply_topic = str(spec.response.get("topic") or "predictions")
        self._header = str(spec.request.get("correlation") or "correlation-id")
        self._ids = Correlations(spec.worker)
        self._waiting: dict[int, _Asking] = {}
        self._issued = 0
        self._closing = False

    def open(self) -> None:
        asker = client.asker(self._servers)
        client.find_topic(asker, self._topic, self._servers, _OPEN_S)
        partitions, mock = client.find_topic(asker, self._reply_topic, self._servers, _OPEN_S)
        self._producer = client.producer(
            self._servers, mock=mock, timeout_s=self._spec.timeout_s, exact=False, on_error=_unheard
        )
        self._consumer = client.consumer(
            self._servers,
            name=f"proofload-{id(self):x}",
            mock=mock,
            max_answer_bytes=self._spec.max_answer_bytes,
            on_error=_unheard,
        )
        client.assign_at_end(self._consumer, self._reply_topic, partitions, _OPEN_S)
        self._looking = threading.Thread(target=self._look, name="kafka-replies", daemon=True)
        self._looking.start()

    def user(self) -> _Asking:
        return _Asking(self)

    def decode(self, body: bytes) -> Any:
        return orjson.loads(body)

    def close(self) -> None:
        self._closing = True
        self._looking.join()
        self._producer.purge()
        self._consumer.close()

    def produce(self, asking: _Asking, payload: int) -> int:
        """The number by which to withdraw it. Raises KafkaException, BufferError."""
        self._issued += 1
        correlation = self._ids.issue(self._issued)
        headers = {**self._spec.headers, **(self._spec.payload_headers[payload] if self._spec.payload_headers else {})}
        self._waiting[self._issued] = asking
        self._producer.produce(
            self._topic,
            self._spec.bodies[payload],
            headers=[(self._header, correlation), *((name, value.encode()) for name, value in headers.items())],
            on_delivery=partial(self._undelivered, self._issued),
        )
        return self._issued

    def withdraw(self, number: int) -> None:
        self._waiting.pop(number, None)
        self._ids.abandon(number)

    def _look(self) -> None:
        while not self._closing:
            self._producer.poll(0)
            for message in self._consumer.consume(_BATCH, 0):
                if message.error() is None:
                    headers = dict(message.headers() or ())
                    asking = self._waiting.pop(self._ids.settle(headers.get(self._header)), None)
                    if asking is not None:
                        asking.reply(headers.get("status") or b"200", message.value() or b"")
            time.sleep(_LOOK_S)

    def _undelivered(self, number: int, error: Any, _message: Any) -> None:
        asking = self._waiting.pop(number, None) if error is not None else None
        if asking is not None:
            asking.undelivered(f"kafka{client.error_name(error)}", str(error))


class _Asking:
    """One user's messages. See `proofload._locust.calls.Ask`."""

    def __init__(self, calls: KafkaCalls) -> None:
        self._calls = calls
        self._told = threading.Event()
        self._sink: Sink | None = None

    def __call__(self, payload: int, patience_s: float, sink: Sink) -> None:
        self._told.clear()
        self._sink = sink
        try:
            number = self._calls.produce(self, payload)
        except (KafkaException, BufferError) as exc:
            sink.failed(0, "kafka-not-sent", str(exc))
            return
        sink.sent(0)
        if not self._told.wait(patience_s):
            self._calls.withdraw(number)
            raise TimeoutError

    def reply(self, text: bytes, body: bytes) -> None:
        assert self._sink is not None  # it has asked
        try:
            status = int(text)
        except ValueError:
            self._sink.failed(0, "protocol", f"the reply's status header is {text[:40]!r}")
        else:
            if status in (429, 503):
                self._sink.shed(0, status)
            elif 200 <= status < 300:
                self._sink.answered(0, status, body)
            else:
                self._sink.failed(0, f"kafka-status-{status}", body[:400].decode("utf-8", "replace"), status)
        self._told.set()

    def undelivered(self, kind: str, detail: str) -> None:
        assert self._sink is not None  # it has asked
        self._sink.failed(0, kind, detail)
        self._told.set()


def _unheard(_error: Any) -> None:
    """What matters ends a request, by an undelivered message or for want of a reply."""
