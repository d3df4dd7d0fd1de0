"""The routes. Predictions are plain ASGI endpoints mounted in FastAPI's router: orjson in, orjson out, nothing between.

FastAPI's own body parsing and response models cost several times what a small model costs, and the core validates
anyway; the operational routes are ordinary FastAPI ones.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route

from proofload_servers.serving import Failed, Refusal, Service, correlation_id, health
from proofload_servers.serving.wire import error_json

from .endpoints import BatchEndpoint, PredictEndpoint, admitted, error_headers

LOG = logging.getLogger("proofload_servers.fastapi")


def create_app(service: Service) -> FastAPI:
    """The application over a service that may still be loading; its lifespan's end drains the service."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.drain, service.settings.drain_s)

    guarded = service.guard is not None and service.guard.needs_credentials
    app = FastAPI(
        title=f"proofload {service.card.name}",
        version=service.card.version,
        lifespan=lifespan,
        openapi_url=None if guarded else "/openapi.json",  # without it there are no pages of documentation either
    )
    # Before FastAPI's own documentation routes: the router tries them in order.
    app.router.routes[:0] = [
        Route("/v1/predict", PredictEndpoint(service), methods=["POST"]),
        Route("/v1/predict/batch", BatchEndpoint(service), methods=["POST"]),
    ]
    for path in health.PATHS:
        app.add_api_route(path, _operational(service, path), methods=["GET"], response_class=Response)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_exception)
    return app


def _operational(service: Service, path: str) -> Any:
    async def answer(request: Request) -> Response:
        if health.is_guarded(service, path):
            try:
                admitted(service, request.scope)
            except Refusal as refusal:
                return _error(request, refusal)
        found = health.respond(service, path)
        if found is None:
            raise HTTPException(404)
        status, content_type, body = found
        return Response(body, status, media_type=content_type)

    return answer


async def _on_http_exception(request: Request, exc: Exception) -> Response:
    status = exc.status_code if isinstance(exc, HTTPException) else 500
    words = {404: ("not_found", "no such path"), 405: ("method_not_allowed", "this path takes another method")}
    code, message = words.get(status, ("http_error", "the request was refused"))
    return _error(request, Refusal(message, code=code, status=status))


async def _on_exception(request: Request, exc: Exception) -> Response:
    LOG.error("unexpected", exc_info=exc)
    return _error(request, Failed("internal error"))


def _error(request: Request, refusal: Refusal) -> Response:
    request_id = correlation_id(request.headers.get("x-request-id"))
    body = error_json(refusal, request_id)
    response = Response(body, refusal.status)
    response.raw_headers = error_headers(refusal, request_id, body)
    return response
