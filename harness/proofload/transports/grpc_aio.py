"""gRPC on gRPC's own library (`grpc.aio`): several times the client CPU per call, the reference for behaviour.

Takes the same targets as the transport `grpc`. Use it where the two disagree about a peer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import grpc.aio

from proofload.errors import TargetError
from proofload.transports import Sink, Transport, TransportSpec
from proofload.transports._grpc import aio_errors, schema, statuses
from proofload.transports._grpc.aio_streams import AioStreams
from proofload.transports._grpc.messages import Reader, encoded, refusal_reader
from proofload.transports._grpc.pool import MAX_STREAMS, Address
from proofload.transports._grpc.target import address_of, metadata_of, patience_of


def create(spec: TransportSpec, sink: Sink) -> Transport:
    """Raises InputError for a URL or headers that gRPC cannot have."""
    return GrpcAioTransport(spec, sink)


class GrpcAioTransport:
    """See `proofload.transports.Transport`."""

    def __init__(self, spec: TransportSpec, sink: Sink) -> None:
        self._spec = spec
        self._sink = sink
        self._address = address_of(spec)
        self._metadata = tuple(metadata_of(spec))
        self._patience = patience_of(spec)
        self._channel: Any = None  # the stubs call what has defaults required
        self._reader: Reader | None = None
        self._bodies: list[bytes] = []
        self._call: Any = None
        self._streams: AioStreams | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._waiting: OrderedDict[int, int] = OrderedDict()
        self._room = max(1, spec.connections) * MAX_STREAMS

    async def open(self) -> None:
        spec = self._spec
        channel = self._channel = _channel(self._address, spec)
        method = await schema.load_method(spec.request, _exchange_over(channel, patience_s=max(5.0, spec.timeout_s)))
        self._bodies = await encoded(method.request, spec.bodies)
        self._reader = Reader(method.response)
        if method.streaming:
            self._streams = AioStreams(
                lambda: channel.stream_stream(method.path)(metadata=self._metadata),
                self._sink,
                bodies=self._bodies,
                read_refusal=refusal_reader(method.response),
                max_streams=spec.connections,
            )
        else:
            self._call = channel.unary_unary(method.path)
        await _connected(channel, spec.timeout_s)

    def send(self, row: int, payload: int) -> None:
        if self._streams is not None:
            self._streams.send(row, payload)
        elif len(self._tasks) < self._room:
            task = asyncio.get_running_loop().create_task(self._unary(row, payload))
            self._tasks[row] = task
        else:
            self._waiting[row] = payload

    def abandon(self, row: int) -> None:
        if self._streams is not None:
            self._streams.abandon(row)
            return
        self._waiting.pop(row, None)
        task = self._tasks.pop(row, None)
        if task is not None:
            task.cancel()

    def decode(self, body: bytes) -> Any:
        assert self._reader is not None, "decode needs the message type, which open() finds"
        return self._reader.read(body)

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is None:
            return
        for task in list(self._tasks.values()):
            task.cancel()
        if self._streams is not None:
            await self._streams.close()
        await channel.close()

    async def _unary(self, row: int, payload: int) -> None:
        started = monotonic()
        self._sink.sent(row)
        try:
            answer = await self._call(self._bodies[payload], timeout=self._patience, metadata=self._metadata)
        except grpc.aio.AioRpcError as exc:
            self._report(row, exc.code().value[0], exc.details() or "", started)
        except asyncio.CancelledError:
            if row in self._tasks:  # closed, not abandoned
                self._sink.failed(row, "closed", "the transport was closed")
        else:
            if answer is None:
                self._sink.failed(row, "protocol", "status OK with no message")
            else:
                self._sink.answered(row, 0, answer)
        finally:
            self._tasks.pop(row, None)
            if self._waiting and self._channel is not None:
                self.send(*self._waiting.popitem(last=False))

    def _report(self, row: int, code: int, details: str, started: float) -> None:
        """Nothing, if the call ended because our own patience did: the engine's began earlier and counts a timeout."""
        patience = self._patience
        impatient = patience is not None and monotonic() - started >= patience - statuses.PATIENCE_MARGIN_S
        if not (impatient and code in (statuses.DEADLINE_EXCEEDED, statuses.CANCELLED)):
            aio_errors.report(self._sink, row, code, details)


async def _connected(channel: Any, patience_s: float) -> None:
    """Returns when the channel is ready, or when the first attempt failed: requests will report that."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            state = channel.get_state(try_to_connect=True)
            while state not in (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE):
                await channel.wait_for_state_change(state)
                state = channel.get_state(try_to_connect=True)


def _channel(address: Address, spec: TransportSpec) -> Any:
    options: Sequence[tuple[str, Any]] = (
        ("grpc.max_receive_message_length", min(spec.max_answer_bytes, 2**31 - 1)),
        ("grpc.max_send_message_length", -1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 100),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
    )
    host = f"[{address.host}]" if ":" in address.host else address.host
    name = f"{host}:{address.port}"
    if address.tls is None:
        return grpc.aio.insecure_channel(name, options=options)
    roots = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    certificates = Path(roots).read_bytes() if roots and Path(roots).is_file() else None
    return grpc.aio.secure_channel(name, grpc.ssl_channel_credentials(certificates), options=options)


def _exchange_over(channel: Any, *, patience_s: float) -> schema.Exchange:
    async def exchange(path: str, messages: Sequence[bytes]) -> list[bytes]:
        call = channel.stream_stream(path)(iter(messages), timeout=patience_s, wait_for_ready=False)
        try:
            return [answer async for answer in call]
        except grpc.aio.AioRpcError as exc:
            if exc.code() == grpc.StatusCode.UNIMPLEMENTED:
                raise schema.UnknownMethodError from exc
            raise TargetError(
                "the target cannot be asked for its services",
                evidence=f"{exc.code().name}: {exc.details()}",
                remedy="is it ready, and does it speak gRPC on this port?",
            ) from exc

    return exchange
