"""The HTTP transport against peers that behave and peers that do not. A bad peer ends a request, not the run."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop

from proofload.transports import TransportSpec
from proofload.transports.http import HttpTransport, create

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Witness:
    """A sink that remembers, and wakes who waits for a row."""

    def __init__(self) -> None:
        self.sent_rows: list[int] = []
        self.ends: dict[int, tuple[str, Any]] = {}
        self._changed = asyncio.Event()

    def sent(self, row: int) -> None:
        self.sent_rows.append(row)

    def answered(self, row: int, status: int, body: bytes) -> None:
        self._end(row, "answered", (status, body))

    def shed(self, row: int, status: int) -> None:
        self._end(row, "shed", status)

    def failed(self, row: int, kind: str, detail: str = "", status: int = -1) -> None:
        self._end(row, "failed", (kind, status))

    def note(self, kind: str, **detail: Any) -> None: ...

    def served_by(self, row: int, arm: int) -> None: ...

    def tell(self, kind: str, **detail: Any) -> None: ...

    def _end(self, row: int, what: str, detail: Any) -> None:
        assert row not in self.ends, f"row {row} ended twice"
        self.ends[row] = (what, detail)
        self._changed.set()

    async def ended(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.ends) < count:
                self._changed.clear()
                await self._changed.wait()


def run(main: Coroutine[Any, Any, None]) -> None:
    uvloop.run(main)


async def serve(peer: Peer, tls: ssl.SSLContext | None = None) -> tuple[asyncio.Server, int]:
    async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await peer(reader, writer)
        writer.close()

    server = await asyncio.start_server(quiet, "127.0.0.1", 0, ssl=tls)
    return server, server.sockets[0].getsockname()[1]


async def opened(url: str, witness: Witness, **options: Any) -> HttpTransport:
    settings = {"connections": 4, "timeout_s": 5.0, **options}
    transport = create(TransportSpec("http", url, bodies=(b'{"n":0}', b'{"n":1}'), **settings), witness)
    await transport.open()
    return transport


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    return await reader.readexactly(length)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        body = await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def one_answer(raw: bytes) -> Peer:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(raw)

    return peer


def then_close(raw: bytes) -> Peer:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(raw)
        await writer.drain()

    return peer


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()


ENDS: list[tuple[str, Peer, tuple[str, Any]]] = [
    ("answers", one_answer(OK), ("answered", (200, b"{}"))),
    ("answers and closes", then_close(b"HTTP/1.1 200 OK\r\n\r\n{}"), ("answered", (200, b"{}"))),
    ("sheds with 429", one_answer(b"HTTP/1.1 429 x\r\nContent-Length: 0\r\n\r\n"), ("shed", 429)),
    ("sheds with 503", one_answer(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n"), ("shed", 503)),
    ("fails", one_answer(b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n"), ("failed", ("http-500", 500))),
    ("redirects", one_answer(b"HTTP/1.1 302 x\r\nContent-Length: 0\r\n\r\n"), ("failed", ("http-302", 302))),
    ("closes at once", then_close(b""), ("failed", ("closed", -1))),
    ("half a header", then_close(b"HTTP/1.1 200 OK\r\nConte"), ("failed", ("closed", -1))),
    ("half a body", then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"), ("failed", ("closed", -1))),
    ("garbage", then_close(b"\x00\x01\x02 what is this\r\n\r\n"), ("failed", ("protocol", -1))),
    ("an endless header", one_answer(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000), ("failed", ("protocol", -1))),
    ("an endless body", endless, ("failed", ("protocol", -1))),
    ("resets", resets, ("failed", ("reset", -1))),
]


def test_many_answers_that_grow_without_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proofload.transports.http._HELD_BYTES", 1_000_000)

    async def main() -> None:
        server, port = await serve(endless)
        witness = Witness()
        transport = await opened(f"http://127.0.0.1:{port}/", witness)
        for row in range(8):
            transport.send(row, 0)
        await witness.ended(8)
        assert set(witness.ends.values()) == {("failed", ("too-large", -1))}
        assert transport.held_bytes == 0
        await transport.close()
        server.close()

    run(main())


@pytest.mark.parametrize(("peer", "end"), [row[1:] for row in ENDS], ids=[row[0] for row in ENDS])
def test_each_request_ends_once_in_the_right_way_and_the_next_goes_on(peer: Peer, end: tuple[str, Any]) -> None:
    async def main() -> None:
        server, port = await serve(peer)
        witness = Witness()
        transport = await opened(f"http://127.0.0.1:{port}/", witness, max_answer_bytes=1_000_000)
        for row in range(8):
            transport.send(row, 0)
        await witness.ended(8)
        for row in range(8, 12):
            transport.send(row, 1)
            await witness.ended(row + 1)
        assert set(map(str, witness.ends.values())) == {str(end)}
        assert not transport.busy
        await transport.close()
        await transport.close()
        server.close()

    run(main())


def test_answers_belong_to_their_requests() -> None:
    async def main() -> None:
        server, port = await serve(echo)
        witness = Witness()
        transport = await opened(f"http://127.0.0.1:{port}/", witness)
        for row in range(200):
            transport.send(row, row % 2)
        await witness.ended(200)
        assert all(end == ("answered", (200, b'{"n":%d}' % (row % 2))) for row, end in witness.ends.items())
        assert witness.sent_rows == sorted(witness.sent_rows), "waiting requests are sent in order"
        await transport.close()
        server.close()

    run(main())


def test_connections_stay_below_the_cap_and_are_used_again() -> None:
    async def main() -> None:
        seen = 0

        async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal seen
            seen += 1
            await echo(reader, writer)

        server, port = await serve(counting)
        witness = Witness()
        transport = await opened(f"http://127.0.0.1:{port}/", witness, connections=3)
        for row in range(300):
            transport.send(row, 0)
        await witness.ended(300)
        assert seen <= 3
        await transport.close()
        server.close()

    run(main())


def test_a_refusing_port_fails_each_request_as_refused() -> None:
    async def main() -> None:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            witness = Witness()
            transport = await opened(f"http://127.0.0.1:{held.getsockname()[1]}/", witness)
            for row in range(500):
                transport.send(row, 0)
            await witness.ended(500)
        assert set(witness.ends.values()) == {("failed", ("refused", -1))}
        assert witness.sent_rows == []
        await transport.close()

    run(main())


def test_an_abandoned_request_frees_its_connection_and_is_not_heard_of_again() -> None:
    async def main() -> None:
        server, port = await serve(hangs)
        witness = Witness()
        transport = await opened(f"http://127.0.0.1:{port}/", witness, connections=1)
        transport.send(0, 0)
        transport.send(1, 0)
        transport.send(2, 0)
        while 0 not in transport.busy:
            await asyncio.sleep(0)
        transport.abandon(1)  # still waiting for a connection
        transport.abandon(0)
        async with asyncio.timeout(20):
            while 2 not in transport.busy:
                await asyncio.sleep(0)
        assert witness.sent_rows == [0, 2]
        transport.abandon(2)
        assert witness.ends == {}
        await transport.close()
        server.close()

    run(main())


def test_an_answer_in_tiny_pieces_is_one_answer() -> None:
    async def dribbles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            for byte in OK:
                writer.write(bytes([byte]))
                await asyncio.sleep(0)

    async def main() -> None:
        server, port = await serve(dribbles)
        witness = Witness()
        transport = await opened(f"http://127.0.0.1:{port}/", witness)
        for row in range(20):
            transport.send(row, 0)
        await witness.ended(20)
        assert set(witness.ends.values()) == {("answered", (200, b"{}"))}
        await transport.close()
        server.close()

    run(main())


def test_https_is_spoken_and_an_untrusted_certificate_fails_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = _self_signed(tmp_path)

    async def main() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server, port = await serve(echo, context)
        witness = Witness()
        untrusting = await opened(f"https://localhost:{port}/", witness)
        untrusting.send(0, 0)
        await witness.ended(1)
        assert witness.ends[0] == ("failed", ("tls", -1))
        await untrusting.close()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        trusting = await opened(f"https://localhost:{port}/", witness)
        trusting.send(1, 1)
        await witness.ended(2)
        assert witness.ends[1] == ("answered", (200, b'{"n":1}'))
        await trusting.close()
        server.close()

    run(main())


def _self_signed(folder: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path
