"""HTTP/1.1 by gevent users: one kept-alive connection each, the engine's own requests and reader of answers."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import orjson

from proofload.errors import InputError
from proofload.transports import Sink, TransportSpec
from proofload.transports._http1 import Answer, AnswerParser, ProtocolError, build_requests

_IDLE_S = 1.0
"""As the transport `http`: a connection idle for longer is not used again."""


def create(spec: TransportSpec) -> HttpCalls:
    return HttpCalls(spec)


class HttpCalls:
    """See `proofload._locust.calls.Calls`."""

    def __init__(self, spec: TransportSpec) -> None:
        self.spec = spec
        self._url = urlsplit(spec.url)
        if not self._url.hostname:
            raise InputError(f"{spec.url!r} names no host", remedy="write http://127.0.0.1:PORT/PATH")
        self._tls = ssl.create_default_context() if self._url.scheme == "https" else None
        self.requests: list[bytes] = []

    def open(self) -> None:
        method = str(self.spec.request.get("method") or "POST").upper()
        self.requests = build_requests(
            self._url, method, self.spec.headers, tuple(self.spec.bodies), self.spec.payload_headers
        )

    def user(self) -> _Connection:
        return _Connection(self)

    def decode(self, body: bytes) -> Any:
        return orjson.loads(body)

    def close(self) -> None:
        """Nothing: connections are the users'."""

    def connected(self, patience_s: float) -> socket.socket:
        host, port = str(self._url.hostname), self._url.port or (443 if self._tls else 80)
        connection = socket.create_connection((host, port), timeout=patience_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection if self._tls is None else self._tls.wrap_socket(connection, server_hostname=host)


class _Connection:
    """One user's. See `proofload._locust.calls.Ask`."""

    def __init__(self, calls: HttpCalls) -> None:
        self._calls = calls
        self._socket: socket.socket | None = None
        self._idle_since = 0.0

    def __call__(self, payload: int, patience_s: float, sink: Sink) -> None:
        until = monotonic() + patience_s
        try:
            wire = self._ready(until)
            sink.sent(0)
            wire.sendall(self._calls.requests[payload])
            answer = self._read(wire, until)
        except TimeoutError:
            self._drop()
            raise
        except ProtocolError as exc:
            self._drop()
            sink.failed(0, "protocol", str(exc))
            return
        except OSError as exc:
            self._drop()
            sink.failed(0, _kind_of(exc), str(exc))
            return
        self._idle_since = monotonic()
        if not answer.reusable:
            self._drop()
        if 200 <= answer.status < 300:
            sink.answered(0, answer.status, answer.body)
        elif answer.status in (429, 503):
            sink.shed(0, answer.status)
        else:
            detail = answer.body[:400].decode("utf-8", "replace")
            sink.failed(0, f"http-{answer.status}", detail, answer.status)

    def _ready(self, until: float) -> socket.socket:
        if self._socket is not None and monotonic() - self._idle_since > _IDLE_S:
            self._drop()
        if self._socket is None:
            self._socket = self._calls.connected(max(0.001, until - monotonic()))
        return self._socket

    def _read(self, wire: socket.socket, until: float) -> Answer:
        parser = AnswerParser(self._calls.spec.max_answer_bytes, "")
        while True:
            left = until - monotonic()
            if left <= 0:
                raise TimeoutError
            wire.settimeout(left)
            data = wire.recv(1 << 16)
            answer = parser.feed(data) if data else parser.closed()
            if answer is not None:
                return answer
            if not data:
                raise ConnectionResetError(f"closed {'in mid-answer' if parser.started else 'without an answer'}")

    def _drop(self) -> None:
        wire, self._socket = self._socket, None
        if wire is not None:
            with suppress(OSError):
                wire.close()


def _kind_of(exc: OSError) -> str:
    if isinstance(exc, ssl.SSLError):
        return "tls"
    if isinstance(exc, ConnectionRefusedError):
        return "refused"
    return "closed" if str(exc).startswith("closed ") else "reset"
