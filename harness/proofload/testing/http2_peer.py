"""An HTTP/2 server written by hand, for misbehaving on purpose: each test scripts its connections.

    async def script(connection: PeerConnection) -> None:
        await connection.greet()
        async for request in connection.requests():
            connection.answer(request.stream, b"...")

    async with http2_peer(script) as port: ...

It shares frame numbers with the client and none of its logic; header blocks are made by `hpack`'s encoder.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hpack import Decoder, Encoder

from proofload.transports._grpc import frames

Fields = list[tuple[str, str]]
OK_HEAD: Fields = [(":status", "200"), ("content-type", "application/grpc")]
OK_TAIL: Fields = [("grpc-status", "0")]


@dataclass(frozen=True, slots=True)
class PeerRequest:
    """One whole request as it arrived; `body` includes gRPC's prefix."""

    stream: int
    headers: dict[str, str]
    body: bytes


class PeerConnection:
    """One accepted connection. `number` counts the connections of the peer from 0."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.number = number
        self.encoder = Encoder()
        self.seen: list[tuple[int, int, int, bytes]] = []
        """Every frame that came: type, flags, stream, payload."""
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder()
        self._open: dict[int, tuple[dict[str, str], bytearray]] = {}

    async def greet(self, settings: dict[int, int] | None = None) -> None:
        """The client's preface in, our SETTINGS out."""
        assert await self._reader.readexactly(len(frames.PREFACE)) == frames.PREFACE
        self.write(frames.settings(settings or {}))

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def flush(self) -> None:
        await self._writer.drain()

    def block(self, fields: Fields, *, huffman: bool = True) -> bytes:
        return self.encoder.encode(fields, huffman=huffman)

    def answer(self, stream: int, message: bytes, head: Fields = OK_HEAD, tail: Fields = OK_TAIL) -> None:
        """A complete good answer in three frames; the message gets its prefix."""
        body = struct.pack(">BI", 0, len(message)) + message
        self.write(
            frames.frame(frames.HEADERS, frames.END_HEADERS, stream, self.block(head))
            + frames.data_frames(stream, body, end=False)
            + self.trailers(stream, tail)
        )

    def trailers(self, stream: int, fields: Fields) -> bytes:
        return frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream, self.block(fields))

    async def frame(self) -> tuple[int, int, int, bytes]:
        """The next frame. Raises IncompleteReadError when the client hung up."""
        head = await self._reader.readexactly(frames.HEAD_BYTES)
        high, low, kind, flags, stream = frames.FRAME_HEAD.unpack(head)
        payload = await self._reader.readexactly(high << 8 | low)
        self.seen.append((kind, flags, stream, payload))
        return kind, flags, stream, payload

    async def requests(self) -> AsyncIterator[PeerRequest]:
        """Whole requests as they come, until the client hangs up. Grants no window by itself."""
        while True:
            try:
                kind, flags, stream, payload = await self.frame()
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            if kind == frames.HEADERS:
                headers = {str(name): str(value) for name, value in self._decoder.decode(payload)}
                self._open[stream] = (headers, bytearray())
            elif kind == frames.DATA:
                self._open[stream][1].extend(payload)
            if kind in (frames.HEADERS, frames.DATA) and flags & frames.END_STREAM:
                headers, body = self._open.pop(stream)
                yield PeerRequest(stream, headers, bytes(body))

    def received(self, kind: int) -> list[tuple[int, int, bytes]]:
        """(flags, stream, payload) of all frames of a type so far."""
        return [(flags, stream, payload) for seen, flags, stream, payload in self.seen if seen == kind]

    def reset(self) -> None:
        """Cut the line: the client sees a connection reset."""
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()


Script = Callable[[PeerConnection], Awaitable[None]]


@asynccontextmanager
async def http2_peer(script: Script) -> AsyncIterator[int]:
    """Listens on a free port of 127.0.0.1. An exception in a script fails the test that started it."""
    tasks: set[asyncio.Task[None]] = set()
    connections: list[PeerConnection] = []
    failures: list[BaseException] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        connection = PeerConnection(reader, writer, len(connections))
        connections.append(connection)
        try:
            await script(connection)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        except Exception as exc:  # noqa: BLE001  raised again below, in the test
            failures.append(exc)
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if failures:
        raise failures[0]
