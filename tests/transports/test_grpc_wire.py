"""Peers that use every liberty HTTP/2 gives them, and some it does not: both gRPC transports must agree."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proofload.testing.http2_peer import OK_HEAD, OK_TAIL, PeerConnection, Script, http2_peer
from proofload.testing.transport_kit import PATIENCE_S, RecordingSink
from proofload.transports import Transport, TransportSpec
from proofload.transports import grpc as fast
from proofload.transports import grpc_aio as reference
from proofload.transports._grpc import frames

pytestmark = pytest.mark.real

PROTO = """
syntax = "proto3";
package lab;
message Line { string id = 1; string text = 2; }
service Echo { rpc Say(Line) returns (Line); rpc Talk(stream Line) returns (stream Line); }
"""
CREATE = {"grpc": fast.create, "grpc-aio": reference.create}
both = pytest.mark.parametrize("name", list(CREATE))
fast_only = pytest.mark.parametrize("name", ["grpc"])
LONG = 200_000


class Session:
    """One open transport against one scripted peer. Payload 3 is long, the others are short."""

    def __init__(self, transport: Transport, sink: RecordingSink) -> None:
        self.transport = transport
        self.sink = sink

    async def outcome(self, row: int, payload: int = 0) -> Any:
        """Send one row and wait for its end."""
        self.transport.send(row, payload)
        await self.sink.ended([row])
        return self.sink.endings[row]

    def text(self, row: int) -> str:
        ending = self.sink.endings[row]
        assert ending.what == "answered", ending
        return str(self.transport.decode(ending.body)["text"])


TEXTS = ("zero", "one", "two", "x" * LONG)


@pytest.fixture
def spec(tmp_path: Path) -> TransportSpec:
    proto = tmp_path / "echo.proto"
    proto.write_text(PROTO, encoding="utf-8")
    bodies = [json.dumps({"id": str(index), "text": text}).encode() for index, text in enumerate(TEXTS)]
    return TransportSpec(
        name="lab", url="", bodies=bodies, request={"method": "lab.Echo/Say", "proto": str(proto)}, timeout_s=PATIENCE_S
    )


@asynccontextmanager
async def session(name: str, spec: TransportSpec, script: Script) -> AsyncIterator[Session]:
    async with http2_peer(script) as port:
        sink = RecordingSink()
        transport = CREATE[name](replace(spec, url=f"grpc://127.0.0.1:{port}"), sink)
        async with asyncio.timeout(2 * PATIENCE_S):
            await transport.open()
            try:
                yield Session(transport, sink)
            finally:
                await transport.close()
    assert not sink.violations, sink.violations


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    asyncio.run(main())


async def echo(connection: PeerConnection) -> None:
    await connection.greet()
    async for request in connection.requests():
        connection.answer(request.stream, request.body[5:])


def answering(write: Callable[[PeerConnection, int, bytes], None], **settings: int) -> Script:
    """A peer that greets and then answers each request by `write(connection, stream, message)`."""

    async def script(connection: PeerConnection) -> None:
        await connection.greet({int(key.strip("_")): value for key, value in settings.items()})
        async for request in connection.requests():
            write(connection, request.stream, request.body[5:])

    return script


# Header blocks.


@both
def test_a_peer_that_uses_the_dynamic_table_against_our_wish_is_read_rightly(name: str, spec: TransportSpec) -> None:
    statuses: list[int] = []

    def write(connection: PeerConnection, stream: int, message: bytes) -> None:
        number = len(statuses)
        statuses.append(number)
        connection.encoder.header_table_size = 4096  # never told that the client wants none
        head = [*OK_HEAD, ("x-number", str(number)), ("x-filler", "f" * (number % 5) * 300)]
        connection.answer(stream, message, head=head, tail=[*OK_TAIL, ("x-trailer", str(number % 3))])

    async def work() -> None:
        async with session(name, spec, answering(write)) as s:
            for row in range(60):
                await s.outcome(row, row % 3)
                assert s.text(row) == TEXTS[row % 3]

    run(work)


@both
def test_the_same_bytes_that_mean_another_status_after_a_table_change_are_not_taken_for_the_old(
    name: str, spec: TransportSpec
) -> None:
    """Index 62 is the newest entry of the table: it stands for status 0 first and for status 13 later."""
    newest = b"\xbe"
    count = 0

    def literal(value: bytes) -> bytes:
        return b"\x40\x0bgrpc-status" + bytes([len(value)]) + value

    def write(connection: PeerConnection, stream: int, message: bytes) -> None:
        nonlocal count
        body = struct.pack(">BI", 0, len(message)) + message
        connection.write(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, connection.block(OK_HEAD)))
        connection.write(frames.data_frames(stream, body, end=False))
        block = {0: literal(b"0"), 4: literal(b"13")}.get(count, newest)
        connection.write(frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream, block))
        count += 1

    async def work() -> None:
        async with session(name, spec, answering(write)) as s:
            seen = [await s.outcome(row) for row in range(8)]
            assert [ending.what for ending in seen] == ["answered"] * 4 + ["failed"] * 4
            assert {(ending.kind, ending.status) for ending in seen[4:]} == {("grpc-INTERNAL", 13)}

    run(work)


@fast_only  # gRPC's own library does not take padding
def test_headers_with_padding_priority_and_continuations_are_read(name: str, spec: TransportSpec) -> None:
    def write(connection: PeerConnection, stream: int, message: bytes) -> None:
        block = connection.block(OK_HEAD)
        padded = b"\x05" + b"\x00\x00\x00\x00\x10" + block[:3] + bytes(5)
        connection.write(frames.frame(frames.HEADERS, frames.PADDED | frames.HAS_PRIORITY, stream, padded))
        for position in range(3, len(block) - 1):
            connection.write(frames.frame(frames.CONTINUATION, 0, stream, block[position : position + 1]))
        connection.write(frames.frame(frames.CONTINUATION, frames.END_HEADERS, stream, block[-1:]))
        connection.write(frames.frame(frames.PRIORITY, 0, stream, bytes(5)))
        body = struct.pack(">BI", 0, len(message)) + message
        connection.write(frames.frame(frames.DATA, frames.PADDED, stream, b"\x07" + body[:4] + bytes(7)))
        connection.write(frames.frame(frames.DATA, 0, stream, b""))
        connection.write(frames.frame(0xEE, 0xFF, stream, b"an extension nobody knows"))
        connection.write(frames.frame(frames.DATA, 0, stream, body[4:]))
        connection.write(connection.trailers(stream, OK_TAIL))

    async def work() -> None:
        async with session(name, spec, answering(write)) as s:
            for row in range(6):
                await s.outcome(row, row % 3)
                assert s.text(row) == TEXTS[row % 3]

    run(work)


@fast_only
def test_answers_that_arrive_byte_by_byte_or_all_at_once_are_the_same(name: str, spec: TransportSpec) -> None:
    async def script(connection: PeerConnection) -> None:
        await connection.greet()
        held: list[tuple[int, bytes]] = []
        async for request in connection.requests():
            held.append((request.stream, request.body[5:]))
            if len(held) == 3:
                break
        out = bytearray()
        write, connection.write = connection.write, out.extend  # type: ignore[method-assign, assignment]
        for stream, message in held:
            connection.answer(stream, message)
        for index in range(len(out)):
            write(bytes(out[index : index + 1]))
            await connection.flush()
            await asyncio.sleep(0)
        connection.write = write  # type: ignore[method-assign]
        async for request in connection.requests():
            held.append((request.stream, request.body[5:]))
            if len(held) == 6:
                out.clear()
                connection.write = out.extend  # type: ignore[method-assign, assignment]
                for stream, message in held[3:]:
                    connection.answer(stream, message)
                write(bytes(out))

    async def work() -> None:
        async with session(name, spec, script) as s:
            for row in range(3):
                s.transport.send(row, row)
            await s.sink.ended(range(3))
            for row in range(3, 6):
                s.transport.send(row, row % 3)
            await s.sink.ended(range(6))
            assert [s.text(row) for row in range(6)] == [*TEXTS[:3], *TEXTS[:3]]

    run(work)


# Flow control.


@both
def test_a_long_body_trickles_through_tiny_windows(name: str, spec: TransportSpec) -> None:
    async def script(connection: PeerConnection) -> None:
        await connection.greet({frames.SETTINGS_INITIAL_WINDOW_SIZE: 10})
        body, grants = bytearray(), 0
        while True:
            kind, flags, stream, payload = await connection.frame()
            if kind == frames.HEADERS:
                connection.write(frames.window_update(stream, 1_000))
                connection.write(frames.window_update(0, LONG * 2))
            elif kind == frames.DATA:
                body += payload
                grants += 1
                if flags & frames.END_STREAM:
                    connection.answer(stream, b"\x12\x06" + str(len(body)).encode())
                    return await _drain(connection)
                if grants == 3:  # below zero for a moment: what was granted shrinks by the difference
                    connection.write(frames.settings({frames.SETTINGS_INITIAL_WINDOW_SIZE: 0}))
                connection.write(frames.window_update(stream, len(payload) + 4_000))

    async def work() -> None:
        async with session(name, spec, script) as s:
            await s.outcome(0, 3)
            assert s.text(0) == str(LONG + 5 + 3 + 4)

    run(work)


@both
def test_many_bodies_share_the_connections_window(name: str, spec: TransportSpec) -> None:
    """The peer grants each DATA frame's size back, 65,535 bytes at the start: 20 long bodies must all pass."""

    async def script(connection: PeerConnection) -> None:
        await connection.greet()
        bodies: dict[int, bytearray] = {}
        outstanding = 0
        while True:
            try:
                kind, flags, stream, payload = await connection.frame()
            except asyncio.IncompleteReadError:
                return
            if kind != frames.DATA:
                continue
            outstanding += len(payload)
            assert outstanding <= frames.DEFAULT_WINDOW, "the client sent more than it was granted"
            bodies.setdefault(stream, bytearray()).extend(payload)
            if payload:
                connection.write(frames.window_update(0, len(payload)))
                outstanding -= len(payload)
            if flags & frames.END_STREAM:
                connection.answer(stream, b"\x12\x05" + str(len(bodies[stream])).zfill(5)[-5:].encode())
            elif payload:
                connection.write(frames.window_update(stream, len(payload)))

    async def work() -> None:
        async with session(name, spec, script) as s:
            for row in range(20):
                s.transport.send(row, 3)
            await s.sink.ended(range(20))
            assert {s.text(row) for row in range(20)} == {str(LONG + 5 + 3 + 4)[-5:]}

    run(work)


@both
def test_no_more_streams_at_a_time_than_the_peer_allows(name: str, spec: TransportSpec) -> None:
    most = 0

    async def script(connection: PeerConnection) -> None:
        nonlocal most
        await connection.greet({frames.SETTINGS_MAX_CONCURRENT_STREAMS: 2})
        opened: list[tuple[int, bytes]] = []
        async for request in connection.requests():
            opened.append((request.stream, request.body[5:]))
            most = max(most, len(opened))
            if len(opened) == 2:
                for stream, message in opened:
                    connection.answer(stream, message)
                opened.clear()

    async def work() -> None:
        async with session(name, replace(spec, connections=1), script) as s:
            for row in range(30):
                s.transport.send(row, row % 3)
            await s.sink.ended(range(30))
            assert [s.text(row) for row in range(30)] == [TEXTS[row % 3] for row in range(30)]

    run(work)
    assert most == 2


# Connection control.


@both
def test_pings_and_settings_are_acknowledged(name: str, spec: TransportSpec) -> None:
    acknowledged: list[bytes] = []

    async def script(connection: PeerConnection) -> None:
        await connection.greet()
        connection.write(frames.frame(frames.PING, 0, 0, b"12345678"))
        connection.write(frames.settings({frames.SETTINGS_MAX_FRAME_SIZE: 20_000, 0x99: 7}))
        async for request in connection.requests():
            connection.answer(request.stream, request.body[5:])
            acknowledged[:] = [payload for flags, _, payload in connection.received(frames.PING) if flags & frames.ACK]
            settings = [flags for flags, _, _ in connection.received(frames.SETTINGS) if flags & frames.ACK]
            assert len(settings) == 2

    async def work() -> None:
        async with session(name, spec, script) as s:
            await s.outcome(0)
            await s.outcome(1)
            assert acknowledged == [b"12345678"]

    run(work)


@both
def test_what_a_goaway_left_unprocessed_is_sent_again_and_the_rest_is_answered(name: str, spec: TransportSpec) -> None:
    async def script(connection: PeerConnection) -> None:
        await connection.greet()
        got: list[tuple[int, bytes]] = []
        async for request in connection.requests():
            if connection.number:
                connection.answer(request.stream, request.body[5:])
                continue
            got.append((request.stream, request.body[5:]))
            if len(got) == 4:
                connection.write(frames.goaway(got[1][0], frames.NO_ERROR))
                for stream, message in got[:2]:
                    connection.answer(stream, message)

    async def work() -> None:
        async with session(name, spec, script) as s:
            for row in range(4):
                s.transport.send(row, row % 3)
            await s.sink.ended(range(4))
            assert [s.text(row) for row in range(4)] == [TEXTS[row % 3] for row in range(4)]
            await s.outcome(9)
            assert s.text(9) == TEXTS[0]

    run(work)


@fast_only
def test_a_refused_stream_is_sent_again_once_and_then_fails(name: str, spec: TransportSpec) -> None:
    refusals = 0

    async def script(connection: PeerConnection) -> None:
        nonlocal refusals
        await connection.greet()
        async for request in connection.requests():
            if refusals in (0, 2, 3):
                connection.write(frames.reset(request.stream, frames.REFUSED_STREAM))
            else:
                connection.answer(request.stream, request.body[5:])
            refusals += 1

    async def work() -> None:
        async with session(name, spec, script) as s:
            assert (await s.outcome(0)).what == "answered"
            ending = await s.outcome(1)
            assert (ending.what, ending.kind, ending.status) == ("failed", "reset", -1)
            assert (await s.outcome(2)).what == "answered"

    run(work)


@fast_only
def test_a_connection_out_of_stream_ids_is_followed_by_another(
    name: str, spec: TransportSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proofload.transports._grpc import connection as module

    streams: list[tuple[int, int]] = []
    monkeypatch.setattr(module, "LAST_OWN_STREAM", 9)

    async def script(connection: PeerConnection) -> None:
        await connection.greet()
        async for request in connection.requests():
            streams.append((connection.number, request.stream))
            connection.answer(request.stream, request.body[5:])

    async def work() -> None:
        async with session(name, spec, script) as s:
            for row in range(12):
                assert (await s.outcome(row)).what == "answered"

    run(work)
    assert streams == [(row // 5, 1 + 2 * (row % 5)) for row in range(12)]


# How calls end.


def ends_with(fields: list[tuple[str, str]]) -> Script:
    """Trailers only: one HEADERS frame that is the whole answer."""
    return answering(lambda connection, stream, _: connection.write(connection.trailers(stream, fields)))


@both
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (8, ("shed", 8, "")),
        (14, ("shed", 14, "")),
        (13, ("failed", 13, "grpc-INTERNAL")),
        (3, ("failed", 3, "grpc-INVALID_ARGUMENT")),
        (12, ("failed", 12, "grpc-UNIMPLEMENTED")),
        (4, ("failed", 4, "grpc-DEADLINE_EXCEEDED")),
    ],
)
def test_a_trailers_only_answer_is_what_its_status_says(
    name: str, spec: TransportSpec, code: int, expected: tuple[str, int, str]
) -> None:
    async def work() -> None:
        fields = [*OK_HEAD, ("grpc-status", str(code)), ("grpc-message", "too%20busy")]
        async with session(name, spec, ends_with(fields)) as s:
            ending = await s.outcome(0)
            assert (ending.what, ending.status, ending.kind) == expected
            if ending.what == "failed":
                assert ending.detail == "too busy"

    run(work)


@both
def test_a_proxys_503_without_a_grpc_status_is_shed_and_its_404_an_error(name: str, spec: TransportSpec) -> None:
    codes = iter(["503", "404"])

    def write(connection: PeerConnection, stream: int, _: bytes) -> None:
        head = [(":status", next(codes)), ("content-type", "text/html")]
        connection.write(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, connection.block(head)))
        connection.write(frames.data_frames(stream, b"<html>upstream</html>", end=True))

    async def work() -> None:
        async with session(name, spec, answering(write)) as s:
            ending = await s.outcome(0)
            assert (ending.what, ending.status) == ("shed", 503)
            ending = await s.outcome(1)
            assert (ending.what, ending.kind, ending.status) == ("failed", "http-404", 404)

    run(work)


def _raw(head: bool, data: bytes, tail: bool) -> Callable[[PeerConnection, int, bytes], None]:
    def write(connection: PeerConnection, stream: int, _: bytes) -> None:
        if head:
            connection.write(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, connection.block(OK_HEAD)))
        if data:
            connection.write(frames.data_frames(stream, data, end=not tail))
        if tail:
            connection.write(connection.trailers(stream, OK_TAIL))

    return write


@pytest.mark.parametrize(
    ("name", "write"),
    [
        pytest.param(name, _raw(head, data, tail), id=f"{case}-{name}")
        for case, head, data, tail in (
            ("no-message", True, b"", True),
            ("no-trailers", True, b"\x00\x00\x00\x00\x01a", False),
            ("compressed", True, b"\x01\x00\x00\x00\x01a", True),
            ("cut-short", True, b"\x00\x00\x00\x00\x09abc", True),
            ("two-messages", True, b"\x00\x00\x00\x00\x01a" * 2, True),
        )
        for name in CREATE
        if (case, name) != ("two-messages", "grpc-aio")  # the library never ends such a call
    ],
)
def test_an_answer_that_breaks_grpcs_rules_fails_its_row_only(
    name: str, spec: TransportSpec, write: Callable[[PeerConnection, int, bytes], None]
) -> None:
    count = 0

    def sometimes(connection: PeerConnection, stream: int, message: bytes) -> None:
        nonlocal count
        count += 1
        if count == 1:
            write(connection, stream, message)
        else:
            connection.answer(stream, message)

    async def work() -> None:
        async with session(name, spec, answering(sometimes)) as s:
            ending = await s.outcome(0)
            assert ending.what == "failed", ending
            assert ending.kind, ending
            await s.outcome(1, 1)
            assert s.text(1) == TEXTS[1]

    run(work)


@both
def test_an_answer_above_the_limit_ends_the_request_and_not_the_run(name: str, spec: TransportSpec) -> None:
    count = 0

    def write(connection: PeerConnection, stream: int, message: bytes) -> None:
        nonlocal count
        count += 1
        connection.answer(stream, bytes(30_000) if count == 1 else message)

    async def work() -> None:
        async with session(name, replace(spec, max_answer_bytes=20_000), answering(write)) as s:
            ending = await s.outcome(0)
            assert (ending.what, ending.kind, ending.status) == ("failed", "too-large", -1)
            await s.outcome(1)
            assert s.text(1) == TEXTS[0]

    run(work)


@both
def test_a_reset_stream_is_a_failure_without_a_status(name: str, spec: TransportSpec) -> None:
    write = answering(lambda connection, stream, _: connection.write(frames.reset(stream, 2)))

    async def work() -> None:
        async with session(name, spec, write) as s:
            ending = await s.outcome(0)
            assert (ending.what, ending.kind, ending.status) == ("failed", "reset", -1)

    run(work)


@fast_only
@pytest.mark.parametrize(
    "junk",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", id="http-1"),
        pytest.param(frames.frame(frames.PING, 0, 0, bytes(8)), id="no-settings-first"),
        pytest.param(frames.settings({}) + frames.frame(frames.PING, 0, 0, b"short"), id="short-ping"),
        pytest.param(frames.settings({}) + frames.frame(frames.SETTINGS, 0, 0, b"12345"), id="odd-settings"),
        pytest.param(frames.settings({}) + frames.frame(frames.DATA, frames.PADDED, 1, b"\xff"), id="all-padding"),
        pytest.param(
            frames.settings({}) + frames.frame(frames.HEADERS, frames.END_HEADERS, 1, b"\xff\xff"), id="bad-block"
        ),
        pytest.param(frames.settings({}) + frames.frame(frames.CONTINUATION, 4, 1, b""), id="stray-continuation"),
        pytest.param(
            frames.settings({}) + frames.frame(frames.HEADERS, 0, 1, b"") + frames.frame(frames.PING, 0, 0, bytes(8)),
            id="interrupted-block",
        ),
        pytest.param(
            frames.settings({})
            + frames.frame(frames.HEADERS, 0, 1, b"")
            + frames.frame(frames.CONTINUATION, 0, 1, bytes(16_000)) * 5,
            id="endless-block",
        ),
        pytest.param(frames.settings({}) + frames.window_update(0, frames.MAX_WINDOW), id="window-overflow"),
        pytest.param(frames.settings({}) + frames.frame(frames.PUSH_PROMISE, 4, 1, bytes(9)), id="push"),
        pytest.param(frames.settings({}) + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", id="giant-frame"),
    ],
)
def test_a_peer_that_breaks_http2_fails_the_rows_with_protocol(name: str, spec: TransportSpec, junk: bytes) -> None:
    async def script(connection: PeerConnection) -> None:
        if junk.startswith(frames.settings({})):
            await connection.greet()
            while (await connection.frame())[0] != frames.DATA:
                pass
            connection.write(junk[len(frames.settings({})) :])
            await _drain(connection)
        connection.write(junk)
        await connection.greet()
        await _drain(connection)

    async def work() -> None:
        async with session(name, spec, script) as s:
            ending = await s.outcome(0)
            assert (ending.what, ending.kind, ending.status) == ("failed", "protocol", -1)
            assert ending.detail

    run(work)


@both
def test_the_servers_deadline_is_our_patience_and_its_expiry_is_left_to_the_engine(
    name: str, spec: TransportSpec
) -> None:
    seen: list[str] = []
    patience_s = 1.0

    async def script(connection: PeerConnection) -> None:
        await connection.greet()
        async for request in connection.requests():
            seen.append(request.headers.get("grpc-timeout", ""))
            if len(seen) == 1:
                await asyncio.sleep(patience_s)
                connection.write(connection.trailers(request.stream, [*OK_HEAD, ("grpc-status", "4")]))
            else:
                connection.answer(request.stream, request.body[5:])

    async def work() -> None:
        async with session(name, replace(spec, timeout_s=patience_s), script) as s:
            s.transport.send(0, 0)
            async with asyncio.timeout(PATIENCE_S):
                for row in range(1, 1000):
                    await asyncio.sleep(0.1)
                    s.transport.send(row, 0)
                    if len(seen) > 1:
                        break
            assert 0 not in s.sink.endings
            s.sink.abandoned.add(0)
            s.transport.abandon(0)

    run(work)
    unit = {"m": 1, "u": 1_000, "n": 1_000_000, "S": 0.001}
    told_ms = float(seen[0][:-1]) / unit[seen[0][-1]]
    assert 200 <= told_ms <= 1030, "what is left of it when it is written, rounded up"


# Streams.


@both
def test_an_abandoned_message_keeps_its_place_in_the_streams_order(name: str, spec: TransportSpec) -> None:
    release = asyncio.Event()

    async def script(connection: PeerConnection) -> None:
        await connection.greet()
        stream, messages = await _stream_messages(connection, 5)
        await release.wait()
        connection.write(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, connection.block(OK_HEAD)))
        for message in messages:
            connection.write(frames.data_frames(stream, message, end=False))
        await _drain(connection)

    async def work() -> None:
        request = {**spec.request, "method": "lab.Echo/Talk"}
        async with session(name, replace(spec, request=request, connections=1), script) as s:
            for row in range(5):
                s.transport.send(row, row % 3)
            await s.sink.until(lambda: len(s.sink.sent_rows) == 5)
            for row in (0, 3):
                s.sink.abandoned.add(row)
                s.transport.abandon(row)
            release.set()
            await s.sink.ended([1, 2, 4])
            assert [s.text(row) for row in (1, 2, 4)] == [TEXTS[1], TEXTS[2], TEXTS[1]]

    run(work)


@both
def test_a_stream_that_breaks_fails_what_is_in_flight_and_the_next_row_opens_another(
    name: str, spec: TransportSpec
) -> None:
    async def script(connection: PeerConnection) -> None:
        await connection.greet()
        stream, messages = await _stream_messages(connection, 2)
        connection.write(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, connection.block(OK_HEAD)))
        connection.write(frames.data_frames(stream, messages[0], end=False))
        connection.write(connection.trailers(stream, [("grpc-status", "13"), ("grpc-message", "broken")]))
        stream, messages = await _stream_messages(connection, 1)
        connection.write(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, connection.block(OK_HEAD)))
        connection.write(frames.data_frames(stream, messages[0], end=False))
        await _drain(connection)

    async def work() -> None:
        request = {**spec.request, "method": "lab.Echo/Talk"}
        async with session(name, replace(spec, request=request, connections=1), script) as s:
            s.transport.send(0, 0)
            s.transport.send(1, 1)
            await s.sink.ended([0, 1])
            assert s.text(0) == TEXTS[0]
            ending = s.sink.endings[1]
            assert (ending.what, ending.kind, ending.status) == ("failed", "grpc-INTERNAL", 13)
            await s.outcome(2, 2)
            assert s.text(2) == TEXTS[2]

    run(work)


async def _stream_messages(connection: PeerConnection, count: int) -> tuple[int, list[bytes]]:
    """The stream, and that many whole messages on it, gRPC's prefix included."""
    body, messages = bytearray(), []
    while True:
        kind, _, stream, payload = await connection.frame()
        if kind != frames.DATA:
            continue
        body += payload
        while len(body) >= 5 and len(body) >= 5 + int.from_bytes(body[1:5], "big"):
            size = 5 + int.from_bytes(body[1:5], "big")
            messages.append(bytes(body[:size]))
            del body[:size]
        if len(messages) == count:
            return stream, messages


async def _drain(connection: PeerConnection) -> None:
    while True:
        await connection.frame()
