"""HTTP/1.1 and HTTPS: one request at a time on each kept-alive connection, opened as needed.

Status 2xx is an answer, 429 and 503 are sheds, every other status an error. `[request] method` (default
POST) and `headers` come from the target file.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections import deque
from time import monotonic_ns
from typing import Any, cast
from urllib.parse import urlsplit

import orjson

from proofload.clock import NS_PER_S
from proofload.errors import InputError
from proofload.transports import Sink, TransportSpec
from proofload.transports._http1 import Answer, AnswerParser, ProtocolError, build_requests

SCHEMES = ("http", "https")

_IDLE_NS = 1 * NS_PER_S
"""A connection idle for longer is closed, not used: servers close theirs after 2 s (gunicorn) or more, and a
request written at that moment would be lost through nobody's fault."""
_CONNECTING_AT_ONCE = 128
_HELD_BYTES = 256 * 1024 * 1024
"""All unfinished answers together: beyond it, the one that grew is given up."""
_CLIENT_LIMITS = {
    errno.EMFILE: "client-fds",
    errno.ENFILE: "client-fds",
    errno.EADDRNOTAVAIL: "client-ports",
    errno.ENOBUFS: "client-ports",
}


def create(spec: TransportSpec, sink: Sink) -> HttpTransport:
    return HttpTransport(spec, sink)


class HttpTransport:
    """See `proofload.transports.Transport`."""

    def __init__(self, spec: TransportSpec, sink: Sink) -> None:
        self._spec = spec
        self._sink = sink
        self._url = urlsplit(spec.url)
        self._host = self._url.hostname or ""
        if not self._host:
            raise InputError(f"{spec.url!r} names no host", remedy="write http://127.0.0.1:PORT/PATH")
        self._tls = ssl.create_default_context() if self._url.scheme == "https" else None
        self._port = self._url.port or (443 if self._tls else 80)
        self.arm_header = str(spec.response.get("arm_header") or "")
        self.requests: list[bytes] = []
        self.busy: dict[int, _Connection] = {}
        self._idle: list[_Connection] = []
        self._waiting: deque[tuple[int, int]] = deque()
        self._given_up: set[int] = set()
        self._open = 0
        self._connecting = 0
        self._opening: set[asyncio.Task[None]] = set()
        self._closed = False
        self.held_bytes = 0

    async def open(self) -> None:
        method = str(self._spec.request.get("method") or "POST").upper()
        self.requests = build_requests(
            self._url, method, self._spec.headers, tuple(self._spec.bodies), self._spec.payload_headers
        )
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def send(self, row: int, payload: int) -> None:
        idle = self._idle
        while idle:
            connection = idle.pop()
            if monotonic_ns() - connection.idle_since_ns < _IDLE_NS:
                connection.start(row, payload)
                return
            connection.drop()
        self._waiting.append((row, payload))
        self._open_more()

    def abandon(self, row: int) -> None:
        connection = self.busy.pop(row, None)
        if connection is not None:
            connection.drop()
        elif self._waiting and self._waiting[0][0] == row:
            self._waiting.popleft()
        else:
            self._given_up.add(row)

    def decode(self, body: bytes) -> Any:
        return orjson.loads(body)

    async def close(self) -> None:
        self._closed = True
        opening = list(self._opening)
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        for connection in [*self._idle, *self.busy.values()]:
            connection.drop()
        self._idle.clear()
        self.busy.clear()

    # What connections report.

    def finished(self, connection: _Connection, row: int, answer: Answer) -> None:
        self.busy.pop(row, None)
        status = answer.status
        if answer.arm >= 0:
            self._sink.served_by(row, answer.arm)
        if 200 <= status < 300:
            self._sink.answered(row, status, answer.body)
        elif status in (429, 503):
            self._sink.shed(row, status)
        else:
            self._sink.failed(row, f"http-{status}", answer.body[:400].decode("utf-8", "replace"), status)
        if not answer.reusable:
            connection.drop()
            return
        following = self._next_waiting()
        if following is None:
            connection.idle_since_ns = monotonic_ns()
            self._idle.append(connection)
        else:
            connection.start(*following)

    def broken(self, row: int, kind: str, detail: str) -> None:
        """A connection ended before the answer of its row was complete."""
        self.busy.pop(row, None)
        self._sink.failed(row, kind, detail)

    def lost(self, connection: _Connection) -> None:
        self._open -= 1
        if not connection.row_known and connection in self._idle:
            self._idle.remove(connection)
        self._open_more()

    # Opening.

    def _next_waiting(self) -> tuple[int, int] | None:
        while self._waiting:
            following = self._waiting.popleft()
            if following[0] not in self._given_up:
                return following
            self._given_up.discard(following[0])
        return None

    def _open_more(self) -> None:
        """As many connections as requests wait, within the caps."""
        while (
            self._connecting < min(len(self._waiting), _CONNECTING_AT_ONCE)
            and self._open < self._spec.connections
            and not self._closed
        ):
            self._open += 1
            self._connecting += 1
            task = self._loop.create_task(self._connect())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self._spec.timeout_s):
                _, protocol = await self._loop.create_connection(
                    lambda: _Connection(self),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
        except (OSError, TimeoutError, UnicodeError) as exc:  # the last: a host that is no name
            self._connecting -= 1
            self._open -= 1
            self._could_not_connect(exc)
            return
        self._connecting -= 1
        following = self._next_waiting()
        if following is not None:
            protocol.start(*following)
        else:
            protocol.idle_since_ns = monotonic_ns()
            self._idle.append(protocol)

    def _could_not_connect(self, exc: Exception) -> None:
        # A connection that never came about is the time-out of whoever waited for it, and the engine's to tell: the
        # oldest that waits now is a later request, with patience left.
        following = None if isinstance(exc, TimeoutError) else self._next_waiting()
        if following is not None:
            self._sink.failed(following[0], _kind_of(exc), str(exc))
        self._loop.call_soon(self._open_more)  # not at once: a refusing target must not recurse


class _Connection(asyncio.Protocol):
    """One connection: at most one request on it."""

    __slots__ = ("_held_bytes", "_owner", "_parser", "_row", "_wire", "idle_since_ns", "row_known")

    def __init__(self, owner: HttpTransport) -> None:
        self._owner = owner
        self._parser = AnswerParser(owner._spec.max_answer_bytes, owner.arm_header)
        self._wire: asyncio.Transport | None = None
        self._row = 0
        self._held_bytes = 0
        self.row_known = False
        self.idle_since_ns = 0

    def start(self, row: int, payload: int) -> None:
        owner = self._owner
        self._row = row
        self.row_known = True
        owner.busy[row] = self
        owner._sink.sent(row)
        self._wire.write(owner.requests[payload])  # type: ignore[union-attr]  # connected

    def drop(self) -> None:
        """Close without a word; what was on it is somebody else's to report."""
        self.row_known = False
        self._let_go()
        if self._wire is not None:
            self._wire.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self.row_known:
            self.drop()  # bytes nobody asked for
            return
        try:
            answer = self._parser.feed(data)
        except ProtocolError as exc:
            self._fail("protocol", str(exc))
            return
        if answer is not None:
            self.row_known = False
            if self._held_bytes:
                self._let_go()
            self._owner.finished(self, self._row, answer)
            return
        self._held_bytes += len(data)
        self._owner.held_bytes += len(data)
        if self._owner.held_bytes > _HELD_BYTES:
            self._fail("too-large", f"unfinished answers hold more than {_HELD_BYTES >> 20} MiB together")

    def connection_lost(self, exc: Exception | None) -> None:
        self._let_go()
        if self.row_known:
            answer = self._parser.closed() if exc is None else None
            self.row_known = False
            if answer is not None:
                self._owner.finished(self, self._row, answer)
            elif exc is not None:
                self._owner.broken(self._row, "reset", str(exc))
            else:
                half = "in mid-answer" if self._parser.started else "without an answer"
                self._owner.broken(self._row, "closed", f"the peer closed the connection {half}")
        self._owner.lost(self)

    def _let_go(self) -> None:
        self._owner.held_bytes -= self._held_bytes
        self._held_bytes = 0

    def _fail(self, kind: str, detail: str) -> None:
        row = self._row
        self.drop()
        self._owner.broken(row, kind, detail)


def _kind_of(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLError):
        return "tls"
    if isinstance(exc, ConnectionRefusedError):
        return "refused"
    if isinstance(exc, TimeoutError):
        return "connect-timeout"
    number = exc.errno if isinstance(exc, OSError) else None
    return _CLIENT_LIMITS.get(number or 0, "connect")
