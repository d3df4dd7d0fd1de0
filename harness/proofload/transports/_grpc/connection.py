"""One HTTP/2 connection, client side: reads the peer's frames and routes them to streams.

The hot path is `start` (one join, one write) and `data_received` (one unpack for each frame). Receiving never
stalls a peer: our windows are as large as HTTP/2 allows, and the limit on an answer's size is
enforced by the streams.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from proofload.transports._grpc import frames
from proofload.transports._grpc.frames import FRAME_HEAD, HEAD_BYTES, U32
from proofload.transports._grpc.headers import MAX_BLOCK_BYTES, HeaderReader, Reply
from proofload.transports._grpc.sending import Request, Sender

_HELLO = (
    frames.PREFACE
    + frames.settings(
        {
            frames.SETTINGS_HEADER_TABLE_SIZE: 0,
            frames.SETTINGS_ENABLE_PUSH: 0,
            frames.SETTINGS_INITIAL_WINDOW_SIZE: frames.MAX_WINDOW,
        }
    )
    + frames.window_update(0, frames.MAX_WINDOW - frames.DEFAULT_WINDOW)
)
_REPLENISH = 1 << 30
LAST_OWN_STREAM = frames.LAST_STREAM_ID
"""Stream ids are never used again: after this one another connection is needed."""
_MAX_BACKLOG = 16 << 20
"""Bytes of acknowledgements that a peer asked for and does not read, before we hang up."""
_PLAIN = frames.PADDED | frames.HAS_PRIORITY | frames.END_HEADERS


class Stream(Protocol):
    """Who a stream's frames are for. `ended` is non-zero on the peer's last frame; then the stream is gone."""

    def on_headers(self, reply: Reply, ended: int) -> None: ...

    def on_data(self, data: bytes, ended: int) -> None: ...

    def on_reset(self, code: int) -> None: ...

    def on_lost(self, kind: str, detail: str, *, unprocessed: bool) -> None:
        """The connection died, or goes away and the peer never looked at the stream (`unprocessed`)."""


class Owner(Protocol):
    """Who a connection belongs to."""

    def on_ready(self, connection: Connection) -> None:
        """The peer's first SETTINGS arrived."""

    def on_room(self, connection: Connection) -> None:
        """Streams may be opened that could not be before."""

    def on_unusable(self, connection: Connection) -> None:
        """No new stream may be opened any more; those open may still finish."""

    def on_gone(self, connection: Connection, kind: str, detail: str) -> None:
        """Closed, for the reason given; all streams have been told."""


class Connection(asyncio.Protocol):
    """Streams may be started while `len(streams) < limit`; `limit` is 0 when none may."""

    def __init__(self, owner: Owner, *, max_streams: int) -> None:
        self.streams: dict[int, Stream] = {}
        self.limit = 0
        self._owner = owner
        self._max_streams = max_streams
        self._peer_streams = max_streams
        self._sender = Sender()
        self._headers = HeaderReader()
        self._rest = b""
        self._next_id = 1
        self._consumed = 0
        self._fragment: tuple[int, int, bytearray] | None = None
        self._ready = self._retired = self._paused = self._closed = self._freed = False

    # What streams use.

    def start(self, stream: Stream, request: Request) -> int:
        """Open a stream with a whole request. The caller has seen that there is room."""
        number = self._take(stream)
        self._sender.request(number, request)
        return number

    def start_open(self, stream: Stream, block: bytes) -> int:
        """Open a stream and leave our side of it open, for `add`."""
        number = self._take(stream)
        self._sender.open(number, block)
        return number

    def add(self, number: int, message: bytes) -> None:
        self._sender.add(number, message)

    def finish(self, number: int) -> None:
        self._sender.finish(number)

    def grant(self, number: int, size: int) -> None:
        """Let the peer send that many more bytes on a long-lived stream."""
        self._sender.write(frames.window_update(number, size))

    def cancel(self, number: int) -> None:
        """The caller lost interest in a stream; it hears no more of it."""
        if self.streams.pop(number, None) is not None:
            self._sender.drop(number)
            self._sender.write(frames.reset(number, frames.CANCEL))
            self._close_if_done()
            self._owner.on_room(self)

    def close(self) -> None:
        """Say goodbye and hang up; streams still open are told that the connection is gone."""
        self._sender.write(frames.goaway(0, frames.NO_ERROR))
        self._end("closed", "closed by the client")

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._closed:  # given up while the connection was being made
            transport.close()
            return
        self._sender.transport = transport  # type: ignore[assignment]  # the loop passes what it is documented to
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            self._end("protocol", f"the peer did not agree to HTTP/2 by ALPN but to {tls.selected_alpn_protocol()}")
        else:
            self._sender.write(_HELLO)

    def connection_lost(self, exc: Exception | None) -> None:
        detail = f"{type(exc).__name__}: {exc}" if exc else "the peer closed the connection"
        self._end("reset", detail if self._ready else f"{detail} before it sent its HTTP/2 settings")

    def pause_writing(self) -> None:
        self._paused = True
        self._set_limit()

    def resume_writing(self) -> None:
        self._paused = False
        self._set_limit()
        self._owner.on_room(self)

    def data_received(self, data: bytes) -> None:  # noqa: PLR0912  one loop, no call per frame that can be saved
        if self._rest:
            data = self._rest + data
        position, available = 0, len(data)
        unpack, streams = FRAME_HEAD.unpack_from, self.streams
        while available - position >= HEAD_BYTES:
            high, low, kind, flags, number = unpack(data, position)
            begin = position + HEAD_BYTES
            length = high << 8 | low
            if (length > frames.DEFAULT_FRAME or not self._ready) and not self._plausible(
                kind, flags, length, data[position : position + 64]
            ):
                return
            end = begin + length
            if end > available:
                break
            position = end
            if self._fragment is not None:
                self._control(kind, flags, number & frames.LAST_STREAM_ID, data[begin:end])
            elif kind == frames.DATA:
                self._consumed += length
                stream = streams.get(number & frames.LAST_STREAM_ID)
                if stream is not None:
                    if flags & frames.PADDED:
                        begin, end = _unpadded(data, begin, end)
                        if end < begin:
                            self._violation("padding longer than its frame")
                            return
                    ended = flags & frames.END_STREAM
                    if ended:
                        self._release(number & frames.LAST_STREAM_ID)
                    stream.on_data(data[begin:end], ended)
            elif kind == frames.HEADERS and flags & _PLAIN == frames.END_HEADERS:
                self._block(number & frames.LAST_STREAM_ID, flags, data[begin:end])
            else:
                self._control(kind, flags, number & frames.LAST_STREAM_ID, data[begin:end])
            if self._closed:
                return
        self._rest = data[position:] if position < available else b""
        if self._consumed >= _REPLENISH:
            self.grant(0, self._consumed)
            self._consumed = 0
        if self._freed:
            self._freed = False
            self._close_if_done()
            self._owner.on_room(self)

    # Frames.

    def _block(self, number: int, flags: int, block: bytes) -> None:
        """A whole header block. It is read even if nobody waits for it: it may change the peer's table."""
        try:
            reply = self._headers.read(block)
        except ValueError as exc:
            self._violation(str(exc), frames.COMPRESSION_ERROR)
            return
        stream = self.streams.get(number)
        if stream is None:
            return
        ended = flags & frames.END_STREAM
        if ended:
            self._release(number)
        stream.on_headers(reply, ended)

    def _control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """Every frame that is not on the hot path. PRIORITY and unknown types are ignored (RFC 9113, 5.5)."""
        if self._fragment is not None and (kind != frames.CONTINUATION or number != self._fragment[0]):
            self._violation("a header block was interrupted by another frame")
            return
        shortest, handle = _CONTROL.get(kind, (0, None))
        if len(payload) < shortest:
            self._violation(f"a frame of type {kind} with {len(payload)} bytes", frames.FRAME_SIZE_ERROR)
        elif handle is not None:
            handle(self, number, flags, payload)

    def _odd_headers(self, number: int, flags: int, payload: bytes) -> None:
        """HEADERS with padding or priority, or continued in other frames."""
        begin, end = 0, len(payload)
        if flags & frames.PADDED:
            begin, end = _unpadded(payload, begin, end)
        if flags & frames.HAS_PRIORITY:
            begin += 5
        if end < begin:
            self._violation("padding longer than its frame")
        elif flags & frames.END_HEADERS:
            self._block(number, flags, payload[begin:end])
        else:
            self._fragment = (number, flags, bytearray(payload[begin:end]))

    def _continuation(self, number: int, flags: int, payload: bytes) -> None:
        if self._fragment is None:
            self._violation("a CONTINUATION without a header block")
            return
        _, first_flags, block = self._fragment
        block += payload
        if len(block) > MAX_BLOCK_BYTES:
            self._violation(f"a header block above {MAX_BLOCK_BYTES:,} bytes", frames.ENHANCE_YOUR_CALM)
        elif flags & frames.END_HEADERS:
            self._fragment = None
            self._block(number, first_flags, bytes(block))

    def _settings(self, _number: int, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            return
        try:
            pairs = frames.read_settings(payload)
        except ValueError as exc:
            self._violation(str(exc), frames.FRAME_SIZE_ERROR)
            return
        for key, value in pairs:
            if key == frames.SETTINGS_MAX_CONCURRENT_STREAMS:
                self._peer_streams = min(value, self._max_streams)
            elif key == frames.SETTINGS_INITIAL_WINDOW_SIZE:
                if value > frames.MAX_WINDOW:
                    self._violation("an initial window above its maximum", frames.FLOW_CONTROL_ERROR)
                    return
                self._sender.resize(value)
            elif key == frames.SETTINGS_MAX_FRAME_SIZE and value >= frames.DEFAULT_FRAME:
                self._sender.limit_frames(value)
        self._acknowledge(frames.SETTINGS_ACK)
        first, self._ready = not self._ready, True
        self._set_limit()
        if first:
            self._owner.on_ready(self)
        self._owner.on_room(self)

    def _ping(self, _number: int, flags: int, payload: bytes) -> None:
        if not flags & frames.ACK:
            self._acknowledge(frames.ping_ack(payload))

    def _push_promise(self, _number: int, _flags: int, _payload: bytes) -> None:
        self._violation("a PUSH_PROMISE, which our settings forbid")

    def _window_update(self, number: int, _flags: int, payload: bytes) -> None:
        if not self._sender.grow(number, U32.unpack_from(payload)[0] & frames.MAX_WINDOW):
            self._violation("a flow-control window above its maximum", frames.FLOW_CONTROL_ERROR)

    def _reset(self, number: int, _flags: int, payload: bytes) -> None:
        stream = self.streams.get(number)
        if stream is not None:
            self._sender.drop(number)
            self._release(number)
            stream.on_reset(U32.unpack_from(payload)[0])

    def _goaway(self, _number: int, _flags: int, payload: bytes) -> None:
        last = U32.unpack_from(payload)[0] & frames.LAST_STREAM_ID
        code = frames.error_name(U32.unpack_from(payload, 4)[0])
        self._retire()
        detail = f"GOAWAY {code} {payload[8:200].decode('utf-8', 'replace')}".rstrip()
        for number in [number for number in self.streams if number > last]:
            self._sender.drop(number)
            self.streams.pop(number).on_lost("reset", detail, unprocessed=True)
        self._close_if_done()

    # State.

    def _take(self, stream: Stream) -> int:
        number = self._next_id
        self._next_id = number + 2
        self.streams[number] = stream
        if number >= LAST_OWN_STREAM:
            self._retire()
        return number

    def _release(self, number: int) -> None:
        """The peer ended a stream. If it did not wait for all of our body, tell it that no more follows."""
        del self.streams[number]
        self._freed = True
        if self._sender.drop(number):
            self._sender.write(frames.reset(number, frames.CANCEL))

    def _close_if_done(self) -> None:
        if self._retired and not self.streams:
            self.close()

    def _retire(self) -> None:
        if not self._retired:
            self._retired = True
            self._set_limit()
            self._owner.on_unusable(self)

    def _set_limit(self) -> None:
        usable = self._ready and not (self._retired or self._paused or self._closed)
        self.limit = self._peer_streams if usable else 0

    def _plausible(self, kind: int, flags: int, length: int, seen: bytes) -> bool:
        """Does HTTP/2 allow this frame head here? The peer's first frame must be its SETTINGS."""
        if not self._ready and (kind != frames.SETTINGS or flags & frames.ACK):
            self._violation(f"the peer does not speak HTTP/2: it began with {seen!r}")
        elif length > frames.DEFAULT_FRAME:
            self._violation(f"a frame of {length:,} bytes: {seen[:32]!r}", frames.FRAME_SIZE_ERROR)
        return not self._closed

    def _acknowledge(self, data: bytes) -> None:
        self._sender.write(data)
        if self._paused and self._sender.backlog_bytes() > _MAX_BACKLOG:
            self._violation("the peer asks for acknowledgements and does not read them", frames.ENHANCE_YOUR_CALM)

    def _violation(self, detail: str, code: int = frames.PROTOCOL_ERROR) -> None:
        self._sender.write(frames.goaway(0, code))
        self._end("protocol", detail)

    def _end(self, kind: str, detail: str) -> None:
        if self._closed:
            return
        self._closed = True
        self._set_limit()
        self._sender.stop()
        streams = list(self.streams.values())
        self.streams.clear()
        for stream in streams:
            stream.on_lost(kind, detail, unprocessed=False)
        self._owner.on_gone(self, kind, detail)


_CONTROL: dict[int, tuple[int, Callable[[Connection, int, int, bytes], None]]] = {
    frames.HEADERS: (0, Connection._odd_headers),
    frames.RST_STREAM: (4, Connection._reset),
    frames.SETTINGS: (0, Connection._settings),
    frames.PUSH_PROMISE: (0, Connection._push_promise),
    frames.PING: (8, Connection._ping),
    frames.GOAWAY: (8, Connection._goaway),
    frames.WINDOW_UPDATE: (4, Connection._window_update),
    frames.CONTINUATION: (0, Connection._continuation),
}
"""By frame type: the shortest payload it can have, and who handles it."""


def _unpadded(data: bytes, begin: int, end: int) -> tuple[int, int]:
    """Where the content lies between its padding length and its padding; end < begin: it cannot."""
    return begin + 1, (end - data[begin] if end > begin else begin)
