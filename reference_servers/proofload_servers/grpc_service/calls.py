"""The four calls, on the event loop; the core computes on its own thread."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import unquote

import grpc

from proofload_servers.serving import Answer, Failed, InvalidInput, NotReady, Refusal, Result, Service, correlation_id
from proofload_servers.serving.logs import access
from proofload_servers.serving.loop_bridge import LoopBridge
from proofload_servers.serving.security import Caller

from .convert import info_of, model_of, refusal_of, request_of, response_of, without_model
from .prediction_pb2 import (
    GetModelInfoRequest,
    GetModelInfoResponse,
    PredictBatchRequest,
    PredictBatchResponse,
    PredictRequest,
    PredictResponse,
)
from .statuses import code_of, trailers

Context = Any
"""grpc.aio.ServicerContext; its stubs leave out most of what is used here."""
MESSAGES_AHEAD = 64
"""Messages of one stream that are read and not yet answered; then the stream's flow control holds the caller."""
LOG = logging.getLogger("proofload_servers.grpc")
_R = TypeVar("_R")


class Calls:
    """Made on the event loop."""

    def __init__(self, service: Service) -> None:
        self._draining = False
        self._readers: set[asyncio.Task[None]] = set()
        self._service = service
        self._bridge = LoopBridge()
        self._access_log = service.settings.access_log

    async def predict(self, message: PredictRequest, context: Context) -> PredictResponse:
        async def work(request_id: str, _caller: Caller | None) -> PredictResponse:
            future, done = self._bridge.expect()
            request = request_of(message)
            self._service.submit_to(request, done, deadline_ns=_deadline_ns(context), request_id=request_id)
            result = await future
            if isinstance(result, Answer):
                return response_of(result)
            raise result

        return await self._guarded("Predict", context, work)

    async def predict_batch(self, message: PredictBatchRequest, context: Context) -> PredictBatchResponse:
        async def work(request_id: str, caller: Caller | None) -> PredictBatchResponse:
            if not message.instances:
                raise InvalidInput("instances must hold at least one request")
            requests = [request_of(instance) for instance in message.instances]
            futures = self._service.submit_many(
                requests, deadline_ns=_deadline_ns(context), request_id=request_id, caller=caller
            )
            answers = await asyncio.gather(*(asyncio.wrap_future(future) for future in futures))
            return PredictBatchResponse(
                predictions=[without_model(answer) for answer in answers], model=model_of(answers[0])
            )

        return await self._guarded("PredictBatch", context, work)

    async def predict_stream(
        self, messages: AsyncIterable[PredictRequest], context: Context
    ) -> AsyncIterator[PredictResponse]:
        request_id = _request_id(context)
        try:
            caller = admitted(self._service, context)
        except Refusal as exc:
            await context.abort(code_of(exc), exc.message, trailing_metadata=trailers(exc, request_id))
            raise AssertionError("abort always raises") from None
        pending: asyncio.Queue[_Pending | None] = asyncio.Queue(MESSAGES_AHEAD)
        reader = asyncio.create_task(self._read(messages, context, request_id, caller, pending))
        self._readers.add(reader)
        try:
            while (one := await pending.get()) is not None:
                yield await self._streamed(one)
        finally:
            self._readers.discard(reader)
            reader.cancel()
        if self._draining:
            refusal = NotReady("the server is going away")
            await context.abort(code_of(refusal), refusal.message, trailing_metadata=trailers(refusal, request_id))

    def drain_streams(self) -> None:
        """Streams last as long as their callers like: read no more, answer what was read, then say UNAVAILABLE."""
        self._draining = True
        for reader in self._readers:
            reader.cancel()

    async def get_model_info(self, _message: GetModelInfoRequest, context: Context) -> GetModelInfoResponse:
        async def work(_request_id: str, _caller: Caller | None) -> GetModelInfoResponse:
            return info_of(self._service.info())

        return await self._guarded("GetModelInfo", context, work)

    async def _read(
        self,
        messages: AsyncIterable[PredictRequest],
        context: Context,
        request_id: str,
        caller: Caller | None,
        pending: asyncio.Queue[Any],
    ) -> None:
        """Submits what comes, until the caller is done or nothing more is to be read."""
        number = 0
        try:
            async for message in messages:
                paid = None if number == 0 else caller  # the first one was, as the stream was admitted
                await pending.put(self._begin(message, paid, _deadline_ns(context), f"{request_id}-{number}"))
                number += 1
        finally:
            await pending.put(None)

    def _begin(
        self, message: PredictRequest, caller: Caller | None, deadline_ns: int | None, request_id: str
    ) -> _Pending:
        begun = time.perf_counter()
        future, done = self._bridge.expect()
        try:
            if self._service.guard is not None and caller is not None:
                self._service.guard.again(caller)
            self._service.submit_to(request_of(message), done, deadline_ns=deadline_ns, request_id=request_id)
        except Refusal as refusal:
            future.set_result(refusal)
        return _Pending(message.id or request_id, begun, future)

    async def _streamed(self, one: _Pending) -> PredictResponse:
        result = await one.future
        if isinstance(result, Answer):
            self._note("PredictStream", 200, one.begun, one.id)
            return response_of(result)
        self._note("PredictStream", result.status, one.begun, one.id)
        return refusal_of(one.id, result)

    async def _guarded(self, route: str, context: Context, work: Callable[[str, Caller | None], Awaitable[_R]]) -> _R:
        """The work's answer, or the status that its refusal stands for; nothing else of what went wrong leaves."""
        begun = time.perf_counter()
        request_id = _request_id(context)
        try:
            response = await work(request_id, admitted(self._service, context))
        except Refusal as exc:
            refusal = exc
        except Exception:
            LOG.exception("unexpected", extra={"request_id": request_id})
            refusal = Failed("internal error")
        else:
            self._note(route, 200, begun, request_id)
            return response
        self._note(route, refusal.status, begun, request_id)
        await context.abort(code_of(refusal), refusal.message, trailing_metadata=trailers(refusal, request_id))
        raise AssertionError("abort always raises")

    def _note(self, route: str, status: int, begun: float, request_id: str) -> None:
        """Statuses are counted as the HTTP servers would send them, so that one dashboard serves all."""
        elapsed_s = time.perf_counter() - begun
        self._service.metrics.request(route, status, elapsed_s)
        if self._access_log:
            access(route, status, elapsed_s, request_id)


class _Pending:
    """One message of a stream that has not been answered yet."""

    __slots__ = ("begun", "future", "id")

    def __init__(self, id: str, begun: float, future: asyncio.Future[Result]) -> None:  # noqa: A002
        self.id = id
        self.begun = begun
        self.future = future


def _request_id(context: Context) -> str:
    """The caller's x-request-id, which is echoed in the trailers, or a new one."""
    for name, value in context.invocation_metadata() or ():
        if name == "x-request-id":
            request_id = correlation_id(value if isinstance(value, str) else None)
            context.set_trailing_metadata((("x-request-id", request_id),))
            return request_id
    return correlation_id(None)


def admitted(service: Service, context: Context) -> Caller | None:
    """Who calls, None where nobody is asked for anything. Raises the refusal that it gets."""
    if service.guard is None:
        return None
    metadata = dict(context.invocation_metadata() or ())
    authorization, api_key = metadata.get("authorization"), metadata.get("x-api-key")
    return service.guard.admit(authorization, api_key, _address(context.peer()))


def _address(peer: str) -> str:
    """gRPC writes ipv4:127.0.0.1:4711 and ipv6:%5B::1%5D:4711."""
    return unquote(peer.partition(":")[2]).rpartition(":")[0].strip("[]")


def _deadline_ns(context: Context) -> int | None:
    remaining_s = context.time_remaining()
    return None if remaining_s is None else time.monotonic_ns() + int(remaining_s * 1e9)


def handler(calls: Calls) -> Any:
    """The service as gRPC wants it."""

    def unary(call: Any, request: Any, response: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(call, request.FromString, response.SerializeToString)

    methods = {
        "Predict": unary(calls.predict, PredictRequest, PredictResponse),
        "PredictBatch": unary(calls.predict_batch, PredictBatchRequest, PredictBatchResponse),
        "PredictStream": grpc.stream_stream_rpc_method_handler(
            calls.predict_stream, PredictRequest.FromString, PredictResponse.SerializeToString
        ),
        "GetModelInfo": unary(calls.get_model_info, GetModelInfoRequest, GetModelInfoResponse),
    }
    return grpc.method_handlers_generic_handler("proofload.serving.v1.Prediction", methods)
