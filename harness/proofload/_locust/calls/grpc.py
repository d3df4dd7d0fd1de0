"""gRPC by gevent users: unary calls on gRPC's own library, one channel for all of them."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from importlib import import_module
from time import monotonic
from typing import Any, TypeVar

import grpc

from proofload.errors import InputError, TargetError
from proofload.transports import Sink, TransportSpec
from proofload.transports._grpc import aio_errors, schema, statuses
from proofload.transports._grpc.messages import Reader, encode
from proofload.transports._grpc.target import address_of, metadata_of, patience_of

T = TypeVar("T")


def create(spec: TransportSpec) -> GrpcCalls:
    return GrpcCalls(spec)


class GrpcCalls:
    """See `proofload._locust.calls.Calls`."""

    def __init__(self, spec: TransportSpec) -> None:
        self._spec = spec
        self._address = address_of(spec)
        self._metadata = tuple(metadata_of(spec))
        self._reader: Reader | None = None
        self.tells_deadline = patience_of(spec) is not None
        self.bodies: list[bytes] = []
        self.call: Any = None

    def open(self) -> None:
        import_module(
            "grpc.experimental.gevent"
        ).init_gevent()  # from here on, waiting for an answer lets other users go on
        name = f"[{self._address.host}]" if ":" in self._address.host else self._address.host
        options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
        where = f"{name}:{self._address.port}"
        channel: Any = (
            grpc.insecure_channel(where, options=options)
            if self._address.tls is None
            else grpc.secure_channel(where, grpc.ssl_channel_credentials(), options=options)
        )
        self._channel = channel
        method = _at_once(schema.load_method(self._spec.request, self._exchange))
        if method.streaming:
            raise InputError(
                "gevent users make unary calls, and this method streams", remedy="let the engine send, or name another"
            )
        self.bodies = [encode(method.request, body, index) for index, body in enumerate(self._spec.bodies)]
        self._reader = Reader(method.response)
        self.call = self._channel.unary_unary(method.path)

    def user(self) -> _Asking:
        return _Asking(self, self._metadata)

    def decode(self, body: bytes) -> Any:
        assert self._reader is not None, "decode needs the message type, which open() finds"
        return self._reader.read(body)

    def close(self) -> None:
        self._channel.close()

    async def _exchange(self, path: str, messages: Sequence[bytes]) -> list[bytes]:
        """Waits like any other user, and awaits nothing: see `_at_once`."""
        try:
            return list(self._channel.stream_stream(path)(iter(messages), timeout=max(5.0, self._spec.timeout_s)))
        except grpc.RpcError as exc:
            if exc.code() == grpc.StatusCode.UNIMPLEMENTED:
                raise schema.UnknownMethodError from exc
            raise TargetError(
                "the target cannot be asked for its services",
                evidence=f"{exc.code().name}: {exc.details()}",
                remedy="is it ready, and does it speak gRPC on this port?",
            ) from exc


class _Asking:
    """One user's calls. See `proofload._locust.calls.Ask`."""

    def __init__(self, calls: GrpcCalls, metadata: Sequence[tuple[str, str]]) -> None:
        self._calls = calls
        self._metadata = metadata

    def __call__(self, payload: int, patience_s: float, sink: Sink) -> None:
        until = monotonic() + patience_s
        sink.sent(0)
        try:
            answer = self._answer(self._calls.bodies[payload], patience_s)
        except grpc.RpcError as exc:
            code = exc.code().value[0]
            expired = monotonic() >= until - statuses.PATIENCE_MARGIN_S
            if expired and code in (statuses.DEADLINE_EXCEEDED, statuses.CANCELLED):
                raise TimeoutError from exc
            aio_errors.report(sink, 0, code, exc.details() or "")
        else:
            sink.answered(0, 0, answer)

    def _answer(self, body: bytes, patience_s: float) -> bytes:
        call, metadata = self._calls.call, self._metadata
        if self._calls.tells_deadline:
            answer: bytes = call(body, timeout=patience_s, metadata=metadata)
            return answer
        pending = call.future(body, metadata=metadata)
        try:
            answer = pending.result(timeout=patience_s)
        except grpc.FutureTimeoutError as exc:
            pending.cancel()
            raise TimeoutError from exc
        return answer


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives that waits for nothing but by way of gevent. No event loop is needed for that."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    raise RuntimeError("it awaits an event loop")
