"""Unary calls: one request, one answer, one ending each; one transparent retry where gRPC allows it."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from proofload.transports import Sink
from proofload.transports._grpc import frames, statuses
from proofload.transports._grpc.connection import Connection
from proofload.transports._grpc.frames import U32
from proofload.transports._grpc.headers import Reply, timeout_field
from proofload.transports._grpc.pool import Pool
from proofload.transports._grpc.sending import Request

PREFIX_BYTES = 5
"""gRPC puts a compression flag and a length of four bytes before each message."""
_GRPC = "application/grpc"


class UnaryCalls:
    """All calls in flight, by row.

    `block` is the header block without its timeout, `messages[i]` the framed body of payload i.
    `patience_s`, unless None, travels as grpc-timeout, counted from `send`.
    """

    def __init__(
        self,
        pool: Pool,
        sink: Sink,
        *,
        block: bytes,
        messages: Sequence[bytes],
        patience_s: float | None,
        max_answer_bytes: int,
    ) -> None:
        self.sink = sink
        self.pool = pool
        self.max_answer_bytes = max_answer_bytes
        self.calls: dict[int, _Call] = {}
        self.patience_s = patience_s
        self._block = block
        timeout = b"" if patience_s is None else timeout_field(patience_s)
        self._requests = [Request(block + timeout, message) for message in messages]

    def send(self, row: int, payload: int) -> None:
        call = self.calls[row] = _Call(self, row, self._requests[payload])
        self.pool.submit(call)

    def abandon(self, row: int) -> None:
        call = self.calls.pop(row, None)
        if call is not None:
            call.cancel()

    def late_request(self, request: Request, waited_s: float) -> Request:
        """The same request for a call that waited for a connection: its server has less time left."""
        if self.patience_s is None:
            return request
        return Request(self._block + timeout_field(max(0.001, self.patience_s - waited_s)), request.message)


class _Call:
    """One row on its way. Every path ends in `_done` once, or in `cancel`."""

    __slots__ = (
        "_answer", "_calls", "_connection", "_http", "_number", "_parts", "_request", "_retried", "_row", "_started"
    )  # fmt: skip

    def __init__(self, calls: UnaryCalls, row: int, request: Request) -> None:
        self._calls = calls
        self._row = row
        self._request = request
        self._connection: Connection | None = None
        self._number = 0
        self._retried = False
        self._started = monotonic()
        self._http: Reply | None = None
        self._parts: bytearray | None = None
        self._answer: bytes | None = None

    # What the pool says.

    def begin(self, connection: Connection) -> None:
        request = self._request
        waited = monotonic() - self._started
        if waited > 0.001:
            request = self._calls.late_request(request, waited)
        if not self._retried:
            self._calls.sink.sent(self._row)
        self._connection = connection
        self._number = connection.start(self, request)

    def fail(self, kind: str, detail: str) -> None:
        self._done()
        self._calls.sink.failed(self._row, kind, detail)

    # What the connection says.

    def on_headers(self, reply: Reply, ended: int) -> None:
        if not ended:
            if self._http is None and not (reply.http_status is not None and 100 <= reply.http_status < 200):
                self._http = reply
            return
        code = reply.grpc_status
        if code == 0 and self._answer is not None:
            calls = self._calls
            del calls.calls[self._row]
            calls.sink.answered(self._row, 0, self._answer)
            return
        self._refused(code, reply)

    def on_data(self, data: bytes, ended: int) -> None:
        size = len(data)
        if self._parts is None and self._answer is None and size >= PREFIX_BYTES and not data[0]:
            if U32.unpack_from(data, 1)[0] == size - PREFIX_BYTES <= self._calls.max_answer_bytes:
                self._answer = data[PREFIX_BYTES:]
            else:
                self._collect(data)
        elif size:
            self._collect(data)
        if ended and self._connection is not None:
            self._refused(None, self._http)

    def on_reset(self, code: int) -> None:
        if code == frames.REFUSED_STREAM:
            self.on_lost("reset", "RST_STREAM REFUSED_STREAM", unprocessed=True)
        elif not (code == frames.CANCEL and self._out_of_patience()):
            self.fail("reset", f"RST_STREAM {frames.error_name(code)}")

    def on_lost(self, kind: str, detail: str, *, unprocessed: bool) -> None:
        self._connection = None
        if unprocessed and not self._retried:
            self._retried = True
            self._http = self._parts = self._answer = None
            self._calls.pool.resubmit(self)
        else:
            self.fail(kind, detail)

    # Endings.

    def cancel(self) -> None:
        if self._connection is None:
            self._calls.pool.withdraw(self)
        else:
            self._connection.cancel(self._number)

    def _collect(self, data: bytes) -> None:
        """An answer in pieces, or one that is not as it should be."""
        if self._http is None or self._http.http_status != 200 or not self._http.content_type.startswith(_GRPC):
            return  # a proxy's own words; the end of the stream tells
        if self._answer is not None:
            self._give_up("protocol", "more than one message in the answer to a unary call")
            return
        parts = self._parts
        if parts is None:
            parts = self._parts = bytearray()
        parts += data
        if parts[0]:
            self._give_up("protocol", "a compressed answer, though we accept identity only")
        elif len(parts) >= PREFIX_BYTES:
            size = U32.unpack_from(parts, 1)[0]
            if size > self._calls.max_answer_bytes:
                self._give_up("too-large", f"an answer of {size:,} bytes, above {self._calls.max_answer_bytes:,}")
            elif len(parts) > PREFIX_BYTES + size:
                self._give_up("protocol", "more than one message in the answer to a unary call")
            elif len(parts) == PREFIX_BYTES + size:
                self._answer = bytes(parts[PREFIX_BYTES:])
                self._parts = None

    def _give_up(self, kind: str, detail: str) -> None:
        """The answer is of no use: end the stream, if it is still there, and report."""
        connection, self._connection = self._connection, None
        self.fail(kind, detail)
        if connection is not None:
            connection.cancel(self._number)

    def _refused(self, code: int | None, reply: Reply | None) -> None:
        """The peer ended the call otherwise than with an OK and one message."""
        head = self._http or reply
        if code is None:
            self._done()
            http = head.http_status if head is not None else None
            statuses.report_http(self._calls.sink, self._row, http or 200, head.content_type if head else "")
        elif code == 0:
            missing = "an incomplete message" if self._parts else "no message"
            self.fail("protocol", f"status OK with {missing}")
        elif not (code in (statuses.DEADLINE_EXCEEDED, statuses.CANCELLED) and self._out_of_patience()):
            self._done()
            message = reply.grpc_message if reply is not None else ""
            statuses.report_refusal(self._calls.sink, self._row, code, message)

    def _out_of_patience(self) -> bool:
        """Did the peer stop because our own patience, which we sent along, is over?

        Then nothing is reported: the engine, whose patience began earlier, counts a timeout.
        """
        patience = self._calls.patience_s
        if patience is None or monotonic() - self._started < patience - statuses.PATIENCE_MARGIN_S:
            return False
        self._done()
        return True

    def _done(self) -> None:
        self._calls.calls.pop(self._row, None)
