"""HTTP servers that misbehave, each on a port of its own, in one process. Standard library only.

    python bad_peers.py

Prints one line of JSON: {"hang": PORT, …}. Each reads a request and then does what its name says, on every connection.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_CHUNK = b"x" * 65536
_BEHAVIOURS: dict[str, Behaviour] = {}


def _says(name: str, answer: bytes, *, closes: bool = False) -> None:
    """A peer that answers every request with these bytes."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await _request(reader):
            writer.write(answer)
            await writer.drain()
            if closes:
                return

    _BEHAVIOURS[name] = behave


_says("closes", b"", closes=True)
_says("garbage", bytes(range(128, 256)) * 4)
_says("half-a-header", b"HTTP/1.1 200 OK\r\nContent-Le", closes=True)
_says("half-an-answer", _HEAD + b'Content-Length: 100\r\n\r\n{"predict', closes=True)
_says("no-header-end", b"HTTP/1.1 200 OK\r\nX: y")
_says("impossible-length", _HEAD + b"Content-Length: -5\r\n\r\n")
_says("petabyte-promised", _HEAD + b"Content-Length: 1125899906842624\r\n\r\n{")
_says("broken-chunks", _HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n")
_says("answers-twice", (_HEAD + b"Content-Length: 2\r\n\r\n{}") * 2)
_says("not-json", _HEAD + b"Content-Length: 9\r\n\r\n<html></h")
_says("no-prediction", _HEAD + b"Content-Length: 2\r\n\r\n{}")
_says("internal-error", b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops")
_says("redirects", b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n")
_says("refuses-politely", b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
_says("speaks-http2", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00")


async def _hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while await _request(reader):
        pass


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    wire = writer.get_extra_info("socket")
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _endless_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(_HEAD + b"\r\n")
    while True:
        writer.write(_CHUNK)
        await writer.drain()


async def _endless_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + _CHUNK + b"\r\n")
        await writer.drain()


async def _endless_header(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(_HEAD)
    while True:
        writer.write(b"X-More: " + b"y" * 1000 + b"\r\n")
        await writer.drain()


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    for byte in _HEAD + b'Content-Length: 16\r\n\r\n{"prediction":1}':
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.1)


_BEHAVIOURS |= {
    "hangs": _hang,
    "resets": _reset,
    "endless-body": _endless_body,
    "endless-chunks": _endless_chunks,
    "endless-header": _endless_header,
    "drips": _drip,
}


async def _request(reader: asyncio.StreamReader) -> bool:
    """Reads one request; False at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError):
        return False
    return True


def _quietly(behaviour: Behaviour) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await behaviour(reader, writer)
        writer.close()

    return behave


async def main() -> None:
    """All of them, until the process is killed."""
    servers = {name: await asyncio.start_server(_quietly(one), "127.0.0.1", 0) for name, one in _BEHAVIOURS.items()}
    sys.stdout.write(json.dumps({name: one.sockets[0].getsockname()[1] for name, one in servers.items()}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
