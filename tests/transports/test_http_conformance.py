"""The HTTP transport against the kit that every transport must pass."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import pytest
import uvloop

from proofload.testing.transport_kit import Behaviour, Check, TransportKit, checks_for
from proofload.transports import TransportSpec
from proofload.transports.http import create

pytestmark = pytest.mark.real

BODIES = [json.dumps({"n": number, "text": "x" * (number % 7)}).encode() for number in range(40)]


def answer(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


class Server:
    """Behaves in one way towards every request of every connection."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.behaviour is not Behaviour.CLOSES:
            with suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    await self._react(await self._request(reader), writer)
        writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        return await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))

    async def _react(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        match self.behaviour:
            case Behaviour.ANSWERS:
                for _ in range(len(body) % 5):  # answers overtake one another
                    await asyncio.sleep(0)
                writer.write(answer("200 OK", body))
            case Behaviour.SHEDS:
                writer.write(answer("503 Service Unavailable", b"busy"))
            case Behaviour.GARBAGE:
                writer.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
            case Behaviour.DIES:
                raw: socket.socket = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            case _:
                pass


@asynccontextmanager
async def peer(behaviour: Behaviour) -> AsyncIterator[TransportSpec]:
    server = await asyncio.start_server(Server(behaviour), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if behaviour is Behaviour.REFUSES:
        server.close()
    try:
        yield TransportSpec(name="http", url=f"http://127.0.0.1:{port}/p", bodies=BODIES, connections=4)
    finally:
        server.close()


def kit() -> TransportKit:
    def start(behaviour: Behaviour) -> AbstractAsyncContextManager[TransportSpec]:
        return peer(behaviour)

    return TransportKit("http", create, start, lambda decoded, payload: decoded == json.loads(BODIES[payload]))


@pytest.mark.parametrize("check", checks_for(kit()), ids=lambda check: check.__name__)
def test_http_conforms(check: Check) -> None:
    async def conform() -> None:
        await check(kit())

    uvloop.run(conform())
