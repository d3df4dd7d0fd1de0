"""Servers that are neither Python nor gRPC's C core, and TLS: both gRPC transports against each."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from proofload.testing.transport_kit import RecordingSink
from proofload.transports import TransportSpec
from proofload.transports import grpc as fast
from proofload.transports import grpc_aio as reference

pytestmark = pytest.mark.real
CREATE = {"grpc": fast.create, "grpc-aio": reference.create}
both = pytest.mark.parametrize("name", list(CREATE))
PROTO = """
syntax = "proto3";
package lab;
message Line { string id = 1; string text = 2; }
service Echo { rpc Say(Line) returns (Line); rpc Talk(stream Line) returns (stream Line); }
"""
GO_SERVER = """
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// Echoes each gRPC message; a message whose last byte is '!' is refused with RESOURCE_EXHAUSTED.
func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { io.Copy(io.Discard, os.Stdin); os.Exit(0) }()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: protocols, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 7}}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("X-Moment", time.Now().String())
		flusher := w.(http.Flusher)
		prefix := make([]byte, 5)
		for {
			if _, err := io.ReadFull(r.Body, prefix); err != nil {
				break
			}
			size := int(prefix[1])<<24 | int(prefix[2])<<16 | int(prefix[3])<<8 | int(prefix[4])
			message := make([]byte, size)
			if _, err := io.ReadFull(r.Body, message); err != nil {
				break
			}
			if size > 0 && message[size-1] == '!' {
				w.Header().Set(http.TrailerPrefix+"Grpc-Status", "8")
				w.Header().Set(http.TrailerPrefix+"Grpc-Message", "busy")
				return
			}
			w.Write(append(append([]byte{}, prefix...), message...))
			flusher.Flush()
		}
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	})
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	server.Serve(listener)
}
"""


def texts() -> list[str]:
    return [f"text-{index}" * (1 + index * index) for index in range(60)] + ["no!"]


def base_spec(folder: Path, method: str) -> TransportSpec:
    proto = folder / "echo.proto"
    proto.write_text(PROTO, encoding="utf-8")
    bodies = [json.dumps({"id": str(index), "text": text}).encode() for index, text in enumerate(texts())]
    return TransportSpec(
        name="lab", url="", bodies=bodies, request={"method": f"lab.Echo/{method}", "proto": str(proto)}
    )


async def drive(name: str, spec: TransportSpec, rows: int) -> tuple[RecordingSink, dict[int, str]]:
    """Sends rows with payloads in turn; the endings, and the text of each that was answered."""
    sink = RecordingSink()
    transport = CREATE[name](spec, sink)
    await transport.open()
    try:
        for row in range(rows):
            transport.send(row, row % len(spec.bodies))
        await sink.ended(range(rows))
        answered = {row: end.body for row, end in sink.endings.items() if end.what == "answered"}
        return sink, {row: str(transport.decode(body)["text"]) for row, body in answered.items()}
    finally:
        await transport.close()


@pytest.fixture(scope="module")
def go_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Go's own HTTP/2, from its standard library: nothing is downloaded."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go compiler on this machine")
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(GO_SERVER, encoding="utf-8")
    built = subprocess.run(
        [go, "build", "-o", "echo", "main.go"],
        cwd=folder,
        env=os.environ | {"CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    if built.returncode != 0:
        pytest.skip(f"this Go cannot build the peer (1.24 is the first that can): {built.stderr[-300:]}")
    with subprocess.Popen([folder / "echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.stdin.close()
        process.wait(10)


@both
def test_go_answers_unary_calls_and_its_refusal_is_shed(name: str, tmp_path: Path, go_server: int) -> None:
    spec = replace(base_spec(tmp_path, "Say"), url=f"grpc://127.0.0.1:{go_server}", connections=3)
    sink, found = asyncio.run(drive(name, spec, 400))
    wanted = texts()
    last = len(wanted) - 1
    assert found == {row: wanted[row % len(wanted)] for row in range(400) if row % len(wanted) != last}
    refused = {(end.what, end.status) for row, end in sink.endings.items() if row % len(wanted) == last}
    assert refused == {("shed", 8)}
    assert not sink.violations


@both
def test_go_answers_the_messages_of_streams_in_order(name: str, tmp_path: Path, go_server: int) -> None:
    spec = base_spec(tmp_path, "Talk")
    spec = replace(spec, url=f"grpc://127.0.0.1:{go_server}", connections=2, bodies=spec.bodies[:-1])
    sink, found = asyncio.run(drive(name, spec, 400))
    assert found == {row: texts()[row % 60] for row in range(400)}
    assert not sink.violations


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory, required_program: Callable[..., str]) -> tuple[Path, Path]:
    """(key, certificate) for 127.0.0.1, signed by itself."""
    openssl = required_program("openssl")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    command += [
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(cert),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return key, cert


@asynccontextmanager
async def tls_server(certificate: tuple[Path, Path]) -> AsyncIterator[int]:
    key, cert = certificate

    async def say(request: bytes, _: Any) -> bytes:
        return request

    server: Any = grpc.aio.server()
    methods = {"Say": grpc.unary_unary_rpc_method_handler(say)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("lab.Echo", methods),))
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@both
def test_tls_with_a_trusted_certificate_answers(
    name: str, tmp_path: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))

    async def run() -> dict[int, str]:
        async with tls_server(certificate) as port:
            spec = replace(base_spec(tmp_path, "Say"), url=f"grpcs://127.0.0.1:{port}")
            return (await drive(name, spec, 100))[1]

    assert asyncio.run(run()) == {row: texts()[row % 61] for row in range(100)}


@both
def test_tls_with_an_unknown_certificate_fails_each_row(
    name: str, tmp_path: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)

    async def run() -> RecordingSink:
        async with tls_server(certificate) as port:
            spec = replace(base_spec(tmp_path, "Say"), url=f"grpcs://127.0.0.1:{port}")
            return (await drive(name, spec, 3))[0]

    sink = asyncio.run(run())
    assert {(end.what, end.kind) for end in sink.endings.values()} == {("failed", "tls")}


def test_a_tls_peer_without_http2_fails_with_protocol(
    tmp_path: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, cert = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))

    async def run() -> RecordingSink:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)

        async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(ignore, "127.0.0.1", 0, ssl=context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            spec = replace(base_spec(tmp_path, "Say"), url=f"grpcs://127.0.0.1:{port}")
            return (await drive("grpc", spec, 3))[0]

    sink = asyncio.run(run())
    assert {(end.what, end.kind) for end in sink.endings.values()} == {("failed", "protocol")}
    assert "ALPN" in sink.endings[0].detail
