"""A transport in one file: JSON lines over TCP, each answered by a line `OK <json>` or `BUSY`.

One request at a time on each connection, as many connections as requests wait for, up to the cap.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from proofload.transports import Sink, TransportSpec

SCHEMES = ("line",)
BUSY = 1
"""The status of a refusal: this protocol has words, and no numbers."""


def create(spec: TransportSpec, sink: Sink) -> LineTransport:
    return LineTransport(spec, sink)


class LineTransport:
    """See `proofload.transports.Transport`."""

    def __init__(self, spec: TransportSpec, sink: Sink) -> None:
        self._spec = spec
        self._sink = sink
        self._url = urlsplit(spec.url)
        self._lines: list[bytes] = []
        self._waiting: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        self._idle = 0
        self._connections: set[asyncio.Task[None]] = set()
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._given_up: set[int] = set()

    async def open(self) -> None:
        self._lines = [body.replace(b"\n", b" ") + b"\n" for body in self._spec.bodies]

    def send(self, row: int, payload: int) -> None:
        self._waiting.put_nowait((row, payload))
        self._open_more()

    def abandon(self, row: int) -> None:
        if row in self._busy:
            self._busy.pop(row).cancel()
        else:
            self._given_up.add(row)

    def decode(self, body: bytes) -> Any:
        return json.loads(body)

    async def close(self) -> None:
        for connection in [*self._connections]:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _open_more(self) -> None:
        if self._waiting.qsize() > self._idle and len(self._connections) < self._spec.connections:
            connection = asyncio.create_task(self._connection())
            self._connections.add(connection)
            connection.add_done_callback(self._ended)

    def _ended(self, connection: asyncio.Task[None]) -> None:
        self._connections.discard(connection)
        if not connection.cancelled():
            self._open_more()

    async def _connection(self) -> None:
        try:
            reader, writer = await asyncio.open_connection(
                self._url.hostname, self._url.port, limit=self._spec.max_answer_bytes
            )
        except OSError as exc:
            row, _ = await self._next()
            self._sink.failed(row, "refused", str(exc))
            return
        try:
            while True:
                row, payload = await self._next()
                self._busy[row] = asyncio.current_task()  # type: ignore[assignment]  # inside a task there is one
                self._sink.sent(row)
                writer.write(self._lines[payload])
                healthy = await self._answer(row, reader)
                self._busy.pop(row, None)
                if not healthy:
                    return
        finally:
            writer.transport.abort()

    async def _answer(self, row: int, reader: asyncio.StreamReader) -> bool:
        """Whether the connection can carry another request."""
        try:
            line = await reader.readline()
        except (OSError, ValueError) as exc:  # ValueError: the line is longer than the limit
            self._sink.failed(row, "reset" if isinstance(exc, OSError) else "protocol", str(exc))
            return False
        word, _, rest = line.rstrip(b"\n").partition(b" ")
        if word == b"OK":
            self._sink.answered(row, 0, rest)
        elif word == b"BUSY":
            self._sink.shed(row, BUSY)
        else:
            self._sink.failed(row, "protocol" if line else "closed", repr(line[:80]))
            return False
        return True

    async def _next(self) -> tuple[int, int]:
        while True:
            self._idle += 1
            try:
                row, payload = await self._waiting.get()
            finally:
                self._idle -= 1
            if row not in self._given_up:
                return row, payload
            self._given_up.discard(row)
