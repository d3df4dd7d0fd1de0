"""Predictions as ASGI endpoints: read the body within its limit, hand it to the core, wait without holding the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Receive, Scope, Send

from proofload_servers.serving import (
    Answer,
    InvalidInput,
    Refusal,
    Result,
    Service,
    correlation_id,
    deadline_from_ms,
)
from proofload_servers.serving.logs import access
from proofload_servers.serving.loop_bridge import LoopBridge
from proofload_servers.serving.security import Caller
from proofload_servers.serving.wire import answer_json, batch_json, error_json, read_instances, read_request

Headers = list[tuple[bytes, bytes]]
JSON_TYPE = (b"content-type", b"application/json")


class _Endpoint:
    """What both calls share: headers, deadline, limits, metrics. `_predict` makes the body of a good answer."""

    route = ""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._limit = service.settings.max_body_kib * 1024
        self._access_log = service.settings.access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        given_id, timeout, length = _wanted(scope["headers"])
        request_id = correlation_id(given_id)
        try:
            caller = admitted(self.service, scope)
            deadline_ns = deadline_from_ms(timeout)
            body = await _read(receive, self._limit, length)
            content = await self._predict(body, deadline_ns, request_id, caller)
        except Refusal as refusal:
            status = refusal.status
            content = error_json(refusal, request_id)
            headers = error_headers(refusal, request_id, content)
        else:
            status = 200
            headers = _headers(request_id, content)
        elapsed_s = time.perf_counter() - begun
        self.service.metrics.request(self.route, status, elapsed_s)
        if self._access_log:
            access(self.route, status, elapsed_s, request_id)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _predict(self, body: bytes, deadline_ns: int | None, request_id: str, caller: Caller | None) -> bytes:
        raise NotImplementedError


class PredictEndpoint(_Endpoint):
    """POST /v1/predict."""

    route = "/v1/predict"

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._bridge: LoopBridge | None = None

    async def _predict(
        self,
        body: bytes,
        deadline_ns: int | None,
        request_id: str,
        caller: Caller | None,  # noqa: ARG002  it was charged for one request, which this is
    ) -> bytes:
        bridge = self._bridge
        if bridge is None:  # made here because only here the loop runs for certain
            bridge = self._bridge = LoopBridge()
        request = read_request(body)
        future, done = bridge.expect()
        self.service.submit_to(request, done, deadline_ns=deadline_ns, request_id=request_id)
        result: Result = await future
        if isinstance(result, Answer):
            return answer_json(result)
        raise result


class BatchEndpoint(_Endpoint):
    """POST /v1/predict/batch: all of it is admitted or none, and one failure fails the call."""

    route = "/v1/predict/batch"

    async def _predict(self, body: bytes, deadline_ns: int | None, request_id: str, caller: Caller | None) -> bytes:
        instances = read_instances(read_request(body))
        futures = self.service.submit_many(instances, deadline_ns=deadline_ns, request_id=request_id, caller=caller)
        answers = await asyncio.gather(*(asyncio.wrap_future(future) for future in futures))
        return batch_json(answers)


def admitted(service: Service, scope: Scope) -> Caller | None:
    """Who asks, None where nobody is asked for anything. Raises the refusal that it gets."""
    if service.guard is None:
        return None
    authorization = api_key = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization = value.decode("latin-1")
        elif name == b"x-api-key":
            api_key = value.decode("latin-1")
    client = scope.get("client")
    return service.guard.admit(authorization, api_key, client[0] if client else "")


def error_headers(refusal: Refusal, request_id: str, content: bytes) -> Headers:
    """Headers of an error, Retry-After among them where trying again makes sense."""
    own = [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
    return [*_headers(request_id, content), *own]


def _headers(request_id: str, content: bytes) -> Headers:
    return [JSON_TYPE, (b"content-length", b"%d" % len(content)), (b"x-request-id", request_id.encode())]


def _wanted(headers: Headers) -> tuple[str | None, str | None, bytes | None]:
    """(X-Request-Id, X-Request-Timeout-Ms, Content-Length): one pass, header names arrive in lower case."""
    request_id = timeout = length = None
    for name, value in headers:
        if name == b"x-request-id":
            request_id = value.decode("latin-1")
        elif name == b"x-request-timeout-ms":
            timeout = value.decode("latin-1")
        elif name == b"content-length":
            length = value
    return request_id, timeout, length


async def _read(receive: Callable[[], Awaitable[Any]], limit: int, length: bytes | None) -> bytes:
    """The body. Raises InvalidInput (413) as soon as it is known to be too large."""
    if length is not None and length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    chunks, size, more = [], 0, True
    while more:  # a body of unknown length may come whole in one message, so each is measured
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidInput("the body ended early")
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


def _too_large(limit: int) -> InvalidInput:
    return InvalidInput(f"the body is larger than {limit} bytes", code="body_too_large", status=413)
