"""Both gRPC transports, unary and streaming, against the kit that every transport must pass."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from proofload.testing.http2_peer import PeerConnection, http2_peer
from proofload.testing.transport_kit import SHED_ROWS, Behaviour, Check, TransportKit, checks_for
from proofload.transports import TransportSpec
from proofload.transports import grpc as fast
from proofload.transports import grpc_aio as reference

pytestmark = pytest.mark.real

PROTO = """
syntax = "proto3";
package lab;
message Line { string id = 1; string text = 2; }
service Echo {
  rpc Say(Line) returns (Line);
  rpc Talk(stream Line) returns (stream Line);
}
"""


class Peers:
    """Peers by behaviour for one method of the Echo service."""

    def __init__(self, method: str, proto: Path) -> None:
        self.method = method
        self.proto = proto

    def __call__(self, behaviour: Behaviour) -> AbstractAsyncContextManager[TransportSpec]:
        return self._start(behaviour)

    @asynccontextmanager
    async def _start(self, behaviour: Behaviour) -> AsyncIterator[TransportSpec]:
        match behaviour:
            case Behaviour.ANSWERS | Behaviour.SHEDS:
                async with self._library_server(behaviour) as port:
                    yield self._spec(port)
            case Behaviour.REFUSES:
                with socket.socket() as unheard:
                    unheard.bind(("127.0.0.1", 0))
                    yield self._spec(unheard.getsockname()[1])
            case _:
                scripts = {
                    Behaviour.HANGS: _hang,
                    Behaviour.CLOSES: _close,
                    Behaviour.GARBAGE: _garbage,
                    Behaviour.DIES: _die,
                }
                async with http2_peer(scripts[behaviour]) as port:
                    yield self._spec(port)

    def _spec(self, port: int) -> TransportSpec:
        bodies = [
            json.dumps({"id": str(index), "text": f"text-{index}" * (1 + index % 7)}).encode() for index in range(40)
        ]
        return TransportSpec(
            name="lab",
            url=f"grpc://127.0.0.1:{port}",
            bodies=bodies,
            connections=4,
            request={"method": f"lab.Echo/{self.method}", "proto": str(self.proto), "stream": False},
        )

    @asynccontextmanager
    async def _library_server(self, behaviour: Behaviour) -> AsyncIterator[int]:
        async def say(request: bytes, context: Any) -> bytes:
            if behaviour is Behaviour.SHEDS:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")
            for _ in range(request[-1] % 5):  # answers overtake one another
                await asyncio.sleep(0)
            return request

        async def talk(requests: Any, context: Any) -> AsyncIterator[bytes]:
            read = 0
            async for request in requests:
                read += 1
                if behaviour is not Behaviour.SHEDS:
                    yield request
                elif read == SHED_ROWS:  # gRPC's own library loses a status that crosses with a write
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "busy")

        server: Any = grpc.aio.server()
        methods = {"Say": grpc.unary_unary_rpc_method_handler(say), "Talk": grpc.stream_stream_rpc_method_handler(talk)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("lab.Echo", methods),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield port
        finally:
            await server.stop(None)


async def _hang(connection: PeerConnection) -> None:
    await connection.greet()
    async for _ in connection.requests():
        pass


async def _close(connection: PeerConnection) -> None:
    connection.close()


async def _garbage(connection: PeerConnection) -> None:
    await connection.greet()
    connection.write(b"\x00" * 3 + b"HTTP/1.1 400 Bad Request\r\n\r\nno frames here" * 50)
    await connection.frame()


async def _die(connection: PeerConnection) -> None:
    await connection.greet()
    while (await connection.frame())[0] != 0:
        pass
    connection.reset()


def _is_answer(decoded: Any, payload: int) -> bool:
    return bool(decoded == {"id": str(payload), "text": f"text-{payload}" * (1 + payload % 7)})


CREATORS = {"grpc": fast.create, "grpc-aio": reference.create}
CASES = [
    pytest.param(name, method, check, id=f"{name}-{method}-{check.__name__}")
    for name in CREATORS
    for method in ("Say", "Talk")
    for check in checks_for(TransportKit("", fast.create, peer=Peers(method, Path()), is_answer=_is_answer))
]


@pytest.fixture
def proto(tmp_path: Path) -> Path:
    path = tmp_path / "echo.proto"
    path.write_text(PROTO, encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "method", "check"), CASES)
def test_the_transport_conforms(name: str, method: str, check: Check, proto: Path) -> None:
    kit = TransportKit(name, CREATORS[name], peer=Peers(method, proto), is_answer=_is_answer)

    async def run() -> None:
        await check(kit)

    asyncio.run(run())
