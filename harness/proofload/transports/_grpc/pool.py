"""Where jobs wait for a connection with a free stream. Connections open as needed, few as possible.

A new connection is opened only when those that exist are full, up to the cap; jobs are begun in the
order they came. A failed attempt fails the jobs that wait, unless another connection still serves.
There is no backing off: a request that is due is a request to try.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from proofload.transports._grpc.connection import Connection

MAX_STREAMS = 100
"""Streams at a time on one connection, if the peer allows as many: what gRPC servers commonly announce."""


class Job(Protocol):
    """Something that needs one stream."""

    def begin(self, connection: Connection) -> None:
        """A stream is free on this connection: take it now."""

    def fail(self, kind: str, detail: str) -> None:
        """No connection could be made."""


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int
    tls: ssl.SSLContext | None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Pool:
    """The connections of one engine process to one address."""

    def __init__(
        self,
        address: Address,
        *,
        max_connections: int,
        patience_s: float,
        note: Callable[[str, str], None],
        max_streams: int = MAX_STREAMS,
    ) -> None:
        self._address = address
        self._max_connections = max(1, max_connections)
        self._patience_s = patience_s
        self._note = note
        self._max_streams = max_streams
        self._usable: list[Connection] = []
        self._all: set[Connection] = set()
        self._current: Connection | None = None
        self._waiting: OrderedDict[Job, None] = OrderedDict()
        self._opening: set[asyncio.Task[None]] = set()
        self._ready: dict[Connection, asyncio.Future[None]] = {}
        self._closed = False

    def submit(self, job: Job) -> None:
        """Begin the job now, or as soon as a stream is free."""
        connection = self._current
        if connection is None or len(connection.streams) >= connection.limit:
            connection = self._current = None if self._waiting else self._with_room()
        if connection is not None:
            job.begin(connection)
            return
        self._waiting[job] = None
        self._open_if_needed()

    def resubmit(self, job: Job) -> None:
        """As `submit`, ahead of the others: the job had its turn before."""
        self._waiting[job] = None
        self._waiting.move_to_end(job, last=False)
        connection = self._with_room()
        if connection is not None:
            self.on_room(connection)
        self._open_if_needed()

    def withdraw(self, job: Job) -> None:
        self._waiting.pop(job, None)

    async def connect(self) -> None:
        """Try to have one connection. Failing is no error here: it is the requests' to report."""
        if not self._usable and not self._opening:
            self._spawn()
        await asyncio.gather(*self._opening)

    async def close(self) -> None:
        self._closed = True
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in list(self._all):
            connection.close()
        self._fail_waiting("closed", "the transport was closed")
        await asyncio.sleep(0)  # lets the loop hang up

    # What connections say.

    def on_ready(self, connection: Connection) -> None:
        self._all.add(connection)
        self._usable.append(connection)
        self._current = self._current or connection
        ready = self._ready.get(connection)
        if ready is not None and not ready.done():
            ready.set_result(None)

    def on_room(self, connection: Connection) -> None:
        waiting = self._waiting
        while waiting and len(connection.streams) < connection.limit:
            job, _ = waiting.popitem(last=False)
            job.begin(connection)

    def on_unusable(self, connection: Connection) -> None:
        if connection in self._usable:
            self._usable.remove(connection)
        if self._current is connection:
            self._current = None

    def on_gone(self, connection: Connection, kind: str, detail: str) -> None:
        self.on_unusable(connection)
        if kind == "protocol":
            self._note("protocol", detail)
        if connection in self._all:
            self._all.remove(connection)
            self._open_if_needed()
            return
        ready = self._ready.get(connection)
        if ready is not None and not ready.done():
            ready.set_exception(_NotReadyError(kind, detail))

    # Opening.

    def _with_room(self) -> Connection | None:
        for connection in self._usable:
            if len(connection.streams) < connection.limit:
                return connection
        return None

    def _open_if_needed(self) -> None:
        opening = len(self._opening)
        if (
            len(self._waiting) > opening * self._max_streams
            and len(self._all) + opening < self._max_connections
            and not self._closed
        ):
            self._spawn()

    def _spawn(self) -> None:
        task = asyncio.get_running_loop().create_task(self._open())
        self._opening.add(task)

    async def _open(self) -> None:
        """One attempt, counted in `_opening` until the peer's settings are there."""
        loop = asyncio.get_running_loop()
        connection = Connection(self, max_streams=self._max_streams)
        ready = self._ready[connection] = loop.create_future()
        address = self._address
        problem: tuple[str, str] | None = None
        try:
            async with asyncio.timeout(self._patience_s):
                await loop.create_connection(
                    lambda: connection,
                    address.host,
                    address.port,
                    ssl=address.tls,
                    server_hostname=address.host if address.tls else None,
                )
                await ready
        except (OSError, TimeoutError, _NotReadyError) as exc:
            problem = _reason(exc, address, self._patience_s)
        finally:
            del self._ready[connection]
            if ready.done() and not ready.cancelled():
                ready.exception()  # seen, whether or not it was awaited
            if connection not in self._all:
                connection.close()
            self._opening.discard(asyncio.current_task())
        if problem is not None and not self._usable and not self._opening:
            self._fail_waiting(*problem)
        else:
            self._open_if_needed()

    def _fail_waiting(self, kind: str, detail: str) -> None:
        failed, self._waiting = self._waiting, OrderedDict()
        for job in failed:
            job.fail(kind, detail)


class _NotReadyError(Exception):
    """The connection ended before the peer's settings came."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


def _reason(exc: Exception, address: Address, patience_s: float) -> tuple[str, str]:
    if isinstance(exc, _NotReadyError):
        return exc.kind, str(exc)
    if isinstance(exc, ConnectionRefusedError):
        return "refused", f"nothing listens on {address}"
    if isinstance(exc, TimeoutError):
        return "connect-timeout", f"{address} sent no HTTP/2 settings within {patience_s:g} s"
    if isinstance(exc, ssl.SSLError):
        return "tls", f"{address}: {exc}"
    if isinstance(exc, ConnectionError):
        return "reset", f"{address}: {exc}"
    return "connect", f"{address}: {type(exc).__name__}: {exc}"
