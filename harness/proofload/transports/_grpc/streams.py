"""Bidirectional streams: each row one message, each answer the oldest message's of its stream.

Streams are long-lived. A further one is opened only when all have `MESSAGES_IN_FLIGHT` unanswered
messages. A stream that breaks fails what was in flight on it; the next row opens another. A row that
was abandoned keeps its place in the stream's order, or the answers after it would go to the wrong rows.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from proofload.transports import Sink
from proofload.transports._grpc import frames, statuses
from proofload.transports._grpc.connection import Connection
from proofload.transports._grpc.frames import U32
from proofload.transports._grpc.headers import Reply
from proofload.transports._grpc.pool import Pool

MESSAGES_IN_FLIGHT = 32
_PREFIX_BYTES = 5
_GRANT = 1 << 28

ReadRefusal = Callable[[bytes], tuple[int, str] | None]


class MessageStreams:
    """The streams of one engine process to one method. `read_refusal` finds a status inside an answer."""

    def __init__(
        self,
        pool: Pool,
        sink: Sink,
        *,
        block: bytes,
        messages: Sequence[bytes],
        read_refusal: ReadRefusal | None,
        max_streams: int,
        max_answer_bytes: int,
    ) -> None:
        self.pool = pool
        self.sink = sink
        self.block = block
        self.read_refusal = read_refusal
        self.max_answer_bytes = max_answer_bytes
        self.owner: dict[int, _Stream] = {}
        """The stream each row in flight is on."""
        self.retried: set[int] = set()
        self._messages = messages
        self._max_streams = max(1, max_streams)
        self._open: list[_Stream] = []
        self._opening: set[_Stream] = set()
        self._waiting: OrderedDict[int, int] = OrderedDict()

    def send(self, row: int, payload: int) -> None:
        if not self._waiting:
            stream = self._with_room()
            if stream is not None:
                stream.send(row, payload, self._messages[payload])
                return
        self._waiting[row] = payload
        self._open_if_needed()

    def abandon(self, row: int) -> None:
        self._waiting.pop(row, None)
        self.retried.discard(row)
        stream = self.owner.pop(row, None)
        if stream is not None:
            stream.give_up_if_stuck()

    # What streams say.

    def on_open(self, stream: _Stream) -> None:
        self._opening.discard(stream)
        self._open.append(stream)
        self.on_room(stream)

    def on_room(self, stream: _Stream) -> None:
        while self._waiting and stream.has_room():
            row, payload = self._waiting.popitem(last=False)
            stream.send(row, payload, self._messages[payload])

    def on_end(self, stream: _Stream) -> None:
        self._opening.discard(stream)
        if stream in self._open:
            self._open.remove(stream)
            self._open_if_needed()

    def again(self, row: int, payload: int) -> None:
        """The peer never looked at this row's stream: it goes first on the next one."""
        self.retried.add(row)
        self._waiting[row] = payload
        self._waiting.move_to_end(row, last=False)
        self._open_if_needed()

    def fail_waiting(self, kind: str, detail: str) -> None:
        if self._open or self._opening:
            return
        failed, self._waiting = self._waiting, OrderedDict()
        for row in failed:
            self.retried.discard(row)
            self.sink.failed(row, kind, detail)

    def _with_room(self) -> _Stream | None:
        for stream in self._open:
            if stream.has_room():
                return stream
        return None

    def _open_if_needed(self) -> None:
        opening = len(self._opening)
        if len(self._waiting) > opening * MESSAGES_IN_FLIGHT and len(self._open) + opening < self._max_streams:
            stream = _Stream(self)
            self._opening.add(stream)
            self.pool.submit(stream)


class _Stream:
    """One stream: a job of the pool until it is open."""

    def __init__(self, streams: MessageStreams) -> None:
        self._streams = streams
        self._connection: Connection | None = None
        self._number = 0
        self._flight: deque[tuple[int, int]] = deque()
        self._rest = bytearray()
        self._consumed = 0

    def has_room(self) -> bool:
        return len(self._flight) < MESSAGES_IN_FLIGHT

    def send(self, row: int, payload: int, message: bytes) -> None:
        streams, connection = self._streams, self._connection
        assert connection is not None, "only open streams are sent on"
        if row not in streams.retried:
            streams.sink.sent(row)
        streams.owner[row] = self
        self._flight.append((row, payload))
        connection.add(self._number, message)

    def give_up_if_stuck(self) -> None:
        """All places taken by rows nobody waits for: an answer that never comes blocks the stream."""
        owner, connection = self._streams.owner, self._connection
        if connection is not None and not self.has_room() and not any(row in owner for row, _ in self._flight):
            self._streams.on_end(self)
            self._connection = None
            connection.cancel(self._number)

    # What the pool says.

    def begin(self, connection: Connection) -> None:
        self._connection = connection
        self._number = connection.start_open(self, self._streams.block)
        self._streams.on_open(self)

    def fail(self, kind: str, detail: str) -> None:
        self._streams.on_end(self)
        self._streams.fail_waiting(kind, detail)

    # What the connection says.

    def on_headers(self, reply: Reply, ended: int) -> None:
        if ended:
            self._ended(reply)

    def on_data(self, data: bytes, ended: int) -> None:
        self._consumed += len(data)
        if self._consumed >= _GRANT and self._connection is not None:
            self._connection.grant(self._number, self._consumed)
            self._consumed = 0
        rest = self._rest
        rest += data
        while len(rest) >= _PREFIX_BYTES and self._connection is not None:
            size = U32.unpack_from(rest, 1)[0]
            if rest[0]:
                self._break("protocol", "a compressed answer, though we accept identity only")
            elif size > self._streams.max_answer_bytes:
                self._break("too-large", f"an answer of {size:,} bytes, above {self._streams.max_answer_bytes:,}")
            elif len(rest) < _PREFIX_BYTES + size:
                break
            else:
                message = bytes(rest[_PREFIX_BYTES : _PREFIX_BYTES + size])
                del rest[: _PREFIX_BYTES + size]
                self._answer(message)
        if ended and self._connection is not None:
            self._fail_flight("protocol", "the stream ended without a grpc-status")

    def on_reset(self, code: int) -> None:
        if code == frames.REFUSED_STREAM:
            self.on_lost("reset", "RST_STREAM REFUSED_STREAM", unprocessed=True)
        else:
            self._fail_flight("reset", f"RST_STREAM {frames.error_name(code)}")

    def on_lost(self, kind: str, detail: str, *, unprocessed: bool) -> None:
        streams = self._streams
        if unprocessed:
            for row, payload in reversed(self._leave()):
                if row in streams.retried:
                    streams.retried.discard(row)
                    streams.sink.failed(row, kind, detail)
                else:
                    streams.again(row, payload)
        else:
            self._fail_flight(kind, detail)

    # Answers and endings.

    def _answer(self, message: bytes) -> None:
        streams = self._streams
        if not self._flight:
            self._break("protocol", "an answer to no message")
            return
        row, _ = self._flight.popleft()
        if streams.owner.pop(row, None) is not None:
            streams.retried.discard(row)
            refusal = streams.read_refusal(message) if streams.read_refusal is not None else None
            if refusal is None:
                streams.sink.answered(row, 0, message)
            else:
                statuses.report_refusal(streams.sink, row, *refusal)
        streams.on_room(self)

    def _ended(self, reply: Reply) -> None:
        code, sink = reply.grpc_status, self._streams.sink
        if code == 0:
            self._fail_flight("stream-ended", "the peer ended the stream before it had answered")
            return
        for row, _ in self._leave():
            if code is None:
                statuses.report_http(sink, row, reply.http_status or 200, reply.content_type)
            else:
                statuses.report_refusal(sink, row, code, reply.grpc_message)

    def _break(self, kind: str, detail: str) -> None:
        connection = self._connection
        self._fail_flight(kind, detail)
        if connection is not None:
            connection.cancel(self._number)

    def _fail_flight(self, kind: str, detail: str) -> None:
        for row, _ in self._leave():
            self._streams.retried.discard(row)
            self._streams.sink.failed(row, kind, detail)

    def _leave(self) -> list[tuple[int, int]]:
        """This stream is over: what was still waited for on it."""
        streams = self._streams
        self._connection = None
        streams.on_end(self)
        left = [(row, payload) for row, payload in self._flight if streams.owner.pop(row, None) is not None]
        self._flight.clear()
        return left
