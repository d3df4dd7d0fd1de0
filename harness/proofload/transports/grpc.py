"""gRPC over HTTP/2 written for load: prebuilt bytes, no call object of a gRPC library per request.

[request] method = "package.Service/Method"; proto = a .proto file or "reflection" (the default);
deadline = false leaves out the grpc-timeout header. A method that streams both ways is driven as
long-lived streams, one message per request. Where this client and a peer disagree, `grpc-aio` is
the same transport on gRPC's own library.
"""

from __future__ import annotations

import asyncio
from typing import Any

from proofload.transports import Sink, Transport, TransportSpec
from proofload.transports._grpc import schema
from proofload.transports._grpc.calls import UnaryCalls
from proofload.transports._grpc.exchange import exchange_over
from proofload.transports._grpc.messages import Reader, encoded, framed, refusal_reader
from proofload.transports._grpc.pool import Pool
from proofload.transports._grpc.streams import MessageStreams
from proofload.transports._grpc.target import SCHEMES, address_of, header_block, patience_of

__all__ = ["SCHEMES", "create"]


def create(spec: TransportSpec, sink: Sink) -> Transport:
    """Raises InputError for a URL or headers that gRPC cannot have."""
    return GrpcTransport(spec, sink)


class GrpcTransport:
    """See `proofload.transports.Transport`."""

    def __init__(self, spec: TransportSpec, sink: Sink) -> None:
        self._spec = spec
        self._sink = sink
        self._address = address_of(spec)
        self._block = header_block(spec, self._address)
        self._pool: Pool | None = None
        self._lane: UnaryCalls | MessageStreams | None = None
        self._reader: Reader | None = None

    async def open(self) -> None:
        spec, sink = self._spec, self._sink
        pool = self._pool = Pool(
            self._address,
            max_connections=spec.connections,
            patience_s=spec.timeout_s,
            note=lambda kind, detail: sink.note(kind, detail=detail),
        )
        exchange = exchange_over(pool, self._block, patience_s=max(5.0, spec.timeout_s))
        method = await schema.load_method(spec.request, exchange)
        messages = [framed(message) for message in await encoded(method.request, spec.bodies)]
        self._reader = Reader(method.response)
        if method.streaming:
            self._lane = MessageStreams(
                pool,
                sink,
                block=self._block(method.path),
                messages=messages,
                read_refusal=refusal_reader(method.response),
                max_streams=spec.connections,
                max_answer_bytes=spec.max_answer_bytes,
            )
        else:
            self._lane = UnaryCalls(
                pool,
                sink,
                block=self._block(method.path),
                messages=messages,
                patience_s=patience_of(spec),
                max_answer_bytes=spec.max_answer_bytes,
            )
        await pool.connect()

    def send(self, row: int, payload: int) -> None:
        self._lane.send(row, payload)  # type: ignore[union-attr]  # opened before anything is sent

    def abandon(self, row: int) -> None:
        if self._lane is not None:
            self._lane.abandon(row)

    def decode(self, body: bytes) -> Any:
        assert self._reader is not None, "decode needs the message type, which open() finds"
        return self._reader.read(body)

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()
            await asyncio.sleep(0)
