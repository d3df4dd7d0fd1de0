"""The sending half of a connection: prebuilt requests out, within the windows the peer grants.

A body that fits goes out in one write with its headers. One that does not waits here and goes on as
the peer allows, per stream and for the connection as a whole (RFC 9113, 5.2).
"""

from __future__ import annotations

import asyncio
from collections import deque

from proofload.transports._grpc import frames
from proofload.transports._grpc.frames import U32


class Request:
    """Prebuilt bytes of one request; only the stream id is missing, after `opening` and after `middle`."""

    __slots__ = ("message", "middle", "opening")

    def __init__(self, block: bytes, message: bytes) -> None:
        """`message` is the whole body, gRPC's five-byte prefix included."""
        self.opening = frames.head(frames.HEADERS, frames.END_HEADERS, len(block))
        self.middle = block + frames.head(frames.DATA, frames.END_STREAM, len(message))
        self.message = message


class Body:
    """What one stream still has to send; `ends`: our side closes after it."""

    __slots__ = ("chunks", "ends", "window")

    def __init__(self, window: int, *, ends: bool) -> None:
        self.window = window
        self.ends = ends
        self.chunks: deque[memoryview] = deque()


class Sender:
    """Writes to one transport. Silent once `stop` was called."""

    def __init__(self) -> None:
        self.transport: asyncio.WriteTransport | None = None
        self._window = frames.DEFAULT_WINDOW
        self._stream_window = frames.DEFAULT_WINDOW
        self._max_frame = frames.DEFAULT_FRAME
        self._bodies: dict[int, Body] = {}

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def request(self, number: int, request: Request) -> None:
        """A whole request on a new stream."""
        message = request.message
        size = len(message)
        identifier = U32.pack(number)
        if size <= self._window and size <= self._stream_window and size <= self._max_frame:
            self._window -= size
            self.write(b"".join((request.opening, identifier, request.middle, identifier, message)))
            return
        self.write(request.opening + identifier + request.middle[:-5])
        body = self._bodies[number] = Body(self._stream_window, ends=True)
        body.chunks.append(memoryview(message))
        self._push(number, body)

    def open(self, number: int, block: bytes) -> None:
        """A new stream whose messages follow one by one."""
        self._bodies[number] = Body(self._stream_window, ends=False)
        self.write(frames.frame(frames.HEADERS, frames.END_HEADERS, number, block))

    def add(self, number: int, message: bytes) -> None:
        """One more message on a stream that `open` opened."""
        body = self._bodies[number]
        body.chunks.append(memoryview(message))
        self._push(number, body)

    def finish(self, number: int) -> None:
        """Nothing follows on a stream that `open` opened."""
        body = self._bodies[number]
        body.ends = True
        if not body.chunks:
            del self._bodies[number]
            self.write(frames.frame(frames.DATA, frames.END_STREAM, number, b""))

    def drop(self, number: int) -> bool:
        """Forget a stream. True when part of its body, or its end, was still to come."""
        return self._bodies.pop(number, None) is not None

    def grow(self, number: int, increment: int) -> bool:
        """The peer enlarged a window (stream 0: the connection's). False: beyond what HTTP/2 allows."""
        if number == 0:
            self._window += increment
            self._push_all()
            return self._window <= frames.MAX_WINDOW
        body = self._bodies.get(number)
        if body is None:
            return True
        body.window += increment
        self._push(number, body)
        return body.window <= frames.MAX_WINDOW

    def resize(self, stream_window: int) -> None:
        """The peer changed the initial window, which shifts that of every open stream, below zero too."""
        for body in self._bodies.values():
            body.window += stream_window - self._stream_window
        self._stream_window = stream_window
        self._push_all()

    def limit_frames(self, size: int) -> None:
        self._max_frame = size

    def backlog_bytes(self) -> int:
        return self.transport.get_write_buffer_size() if self.transport is not None else 0

    def stop(self) -> None:
        """Hang up after what was written."""
        if self.transport is not None:
            self.transport.close()
        self.transport = None
        self._bodies.clear()

    def _push_all(self) -> None:
        for number, body in list(self._bodies.items()):
            self._push(number, body)

    def _push(self, number: int, body: Body) -> None:
        chunks = body.chunks
        while chunks:
            chunk = chunks[0]
            size = min(len(chunk), body.window, self._window, self._max_frame)
            if size <= 0 < len(chunk):
                return
            whole = size == len(chunk)
            if whole:
                chunks.popleft()
            else:
                chunks[0] = chunk[size:]
            body.window -= size
            self._window -= size
            ends = body.ends and not chunks
            self.write(frames.frame(frames.DATA, frames.END_STREAM if ends else 0, number, bytes(chunk[:size])))
            if ends:
                del self._bodies[number]
