"""Bidirectional streams on `grpc.aio`: the same behaviour as streams.py, on gRPC's own library.

One thing it cannot do: when the peer's status crosses with a write, the library keeps the write's
failure ("Internal error from Core") and loses the status, so such a refusal counts as a failure.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import grpc.aio

from proofload.transports import Sink
from proofload.transports._grpc import aio_errors, statuses
from proofload.transports._grpc.streams import MESSAGES_IN_FLIGHT, ReadRefusal


class AioStreams:
    """`open_call` makes a new stream."""

    def __init__(
        self,
        open_call: Callable[[], Any],
        sink: Sink,
        *,
        bodies: Sequence[bytes],
        read_refusal: ReadRefusal | None,
        max_streams: int,
    ) -> None:
        self.open_call = open_call
        self.sink = sink
        self.read_refusal = read_refusal
        self.owner: dict[int, _AioStream] = {}
        self._bodies = bodies
        self._max_streams = max(1, max_streams)
        self._open: list[_AioStream] = []
        self._ended: list[_AioStream] = []
        self._waiting: OrderedDict[int, int] = OrderedDict()
        self._closed = False

    def send(self, row: int, payload: int) -> None:
        stream = None if self._waiting else self._with_room()
        if stream is None:
            self._waiting[row] = payload
        else:
            stream.send(row, self._bodies[payload])

    def abandon(self, row: int) -> None:
        self._waiting.pop(row, None)
        stream = self.owner.pop(row, None)
        if stream is not None:
            stream.give_up_if_stuck()

    def on_room(self) -> None:
        while self._waiting and not self._closed:
            stream = self._with_room()
            if stream is None:
                return
            row, payload = self._waiting.popitem(last=False)
            stream.send(row, self._bodies[payload])

    def on_end(self, stream: _AioStream) -> None:
        if stream in self._open:
            self._open.remove(stream)
            self._ended = [one for one in self._ended if not one.finished()]
            self._ended.append(stream)

    async def close(self) -> None:
        self._closed = True
        streams = [*self._open, *self._ended]
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*(stream.join() for stream in streams))
        for row in self._waiting:
            self.sink.failed(row, "closed", "the transport was closed")
        self._waiting.clear()

    def _with_room(self) -> _AioStream | None:
        for stream in self._open:
            if stream.has_room():
                return stream
        if len(self._open) >= self._max_streams or self._closed:
            return None
        stream = _AioStream(self)
        self._open.append(stream)
        return stream


class _AioStream:
    """One stream: a task that writes what `send` queued, and one that reads answers."""

    def __init__(self, streams: AioStreams) -> None:
        self._streams = streams
        self._flight: deque[int] = deque()
        self._outbox: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._call = streams.open_call()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._write()), loop.create_task(self._read())]
        self._over = False

    def has_room(self) -> bool:
        return len(self._flight) < MESSAGES_IN_FLIGHT

    def send(self, row: int, body: bytes) -> None:
        self._streams.owner[row] = self
        self._flight.append(row)
        self._outbox.put_nowait((row, body))

    def give_up_if_stuck(self) -> None:
        owner = self._streams.owner
        if not self.has_room() and not any(row in owner for row in self._flight):
            self._leave()
            self.cancel()
            self._streams.on_room()

    def cancel(self) -> None:
        self._call.cancel()
        for task in self._tasks:
            task.cancel()

    async def join(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for row in self._leave():
            self._streams.sink.failed(row, "closed", "the transport was closed")

    def finished(self) -> bool:
        return all(task.done() for task in self._tasks)

    async def _write(self) -> None:
        while True:
            row, body = await self._outbox.get()
            if row in self._streams.owner:
                self._streams.sink.sent(row)
            try:
                await self._call.write(body)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return  # the reader hears why

    async def _read(self) -> None:
        streams = self._streams
        try:
            async for answer in self._call:
                self._answered(answer)
                if self._over:
                    return
        except grpc.aio.AioRpcError:
            code, details = await self._call.code(), await self._call.details()  # the exception may know less
            for row in self._leave():
                aio_errors.report(streams.sink, row, code.value[0], details or "")
        else:
            for row in self._leave():
                streams.sink.failed(row, "stream-ended", "the peer ended the stream before it had answered")
        finally:
            self._tasks[0].cancel()
        streams.on_room()

    def _answered(self, answer: bytes) -> None:
        streams = self._streams
        if not self._flight:
            self._leave()
            self._call.cancel()
            return
        row = self._flight.popleft()
        if streams.owner.pop(row, None) is not None:
            refusal = streams.read_refusal(answer) if streams.read_refusal is not None else None
            if refusal is None:
                streams.sink.answered(row, 0, answer)
            else:
                statuses.report_refusal(streams.sink, row, *refusal)
        streams.on_room()

    def _leave(self) -> list[int]:
        self._over = True
        self._streams.on_end(self)
        left = [row for row in self._flight if self._streams.owner.pop(row, None) is not None]
        self._flight.clear()
        return left
