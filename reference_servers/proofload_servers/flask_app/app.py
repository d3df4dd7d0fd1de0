"""The routes. A thread waits for its own prediction; the batching thread computes for all of them together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from proofload_servers.serving import (
    Failed,
    InvalidInput,
    Refusal,
    Service,
    correlation_id,
    deadline_from_ms,
    health,
)
from proofload_servers.serving.logs import access
from proofload_servers.serving.security import Caller
from proofload_servers.serving.wire import answer_json, batch_json, error_json, read_instances, read_request

from . import arrival

LOG = logging.getLogger("proofload_servers.flask")
SERVICE = "proofload-service"
WORDS = {404: ("not_found", "no such path"), 405: ("method_not_allowed", "this path takes another method")}
Predict = Callable[[bytes, int | None, str, int, Caller | None], bytes]


def create_app(service: Service) -> Flask:
    """The application over a service that may still be loading. Whoever made the service drains it."""
    app = Flask("proofload_servers.flask_app", static_folder=None)
    # One byte more than allowed: a body of unknown length is cut there in silence, and the byte gives it away.
    app.config["MAX_CONTENT_LENGTH"] = service.settings.max_body_kib * 1024 + 1
    app.extensions[SERVICE] = service

    def predict(
        body: bytes, deadline_ns: int | None, request_id: str, arrived_ns: int, _caller: Caller | None
    ) -> bytes:
        future = service.submit(
            read_request(body), deadline_ns=deadline_ns, request_id=request_id, arrived_ns=arrived_ns
        )
        return answer_json(future.result())

    def predict_batch(
        body: bytes, deadline_ns: int | None, request_id: str, arrived_ns: int, caller: Caller | None
    ) -> bytes:
        instances = read_instances(read_request(body))
        futures = service.submit_many(
            instances, deadline_ns=deadline_ns, request_id=request_id, arrived_ns=arrived_ns, caller=caller
        )
        return batch_json([future.result() for future in futures])

    app.post("/v1/predict", endpoint="predict")(_prediction(service, "/v1/predict", predict))
    app.post("/v1/predict/batch", endpoint="batch")(_prediction(service, "/v1/predict/batch", predict_batch))
    for path in health.PATHS:
        app.get(path, endpoint=path)(_operational(service, path))
    app.register_error_handler(HTTPException, _on_http_exception)
    app.register_error_handler(Exception, _on_exception)
    return app


def _prediction(service: Service, route: str, predict: Predict) -> Callable[[], Response]:
    """A view with what both calls share: headers, deadline, metrics, errors."""

    limit = service.settings.max_body_kib * 1024

    def view() -> Response:
        begun_ns = arrival.of_request()
        request_id = _request_id()
        try:
            caller = _admitted(service)
            deadline_ns = deadline_from_ms(request.headers.get("X-Request-Timeout-Ms"), since_ns=begun_ns)
            response = _respond(200, predict(_body(limit), deadline_ns, request_id, begun_ns, caller), request_id)
        except Refusal as refusal:
            response = _refuse(refusal, request_id)
        elapsed_s = (time.monotonic_ns() - begun_ns) / 1e9
        service.metrics.request(route, response.status_code, elapsed_s)
        if service.settings.access_log:
            access(route, response.status_code, elapsed_s, request_id)
        return response

    return view


def _admitted(service: Service) -> Caller | None:
    """Who asks, None where nobody is asked for anything. Raises the refusal that it gets."""
    if service.guard is None:
        return None
    authorization, api_key = request.headers.get("Authorization"), request.headers.get("X-Api-Key")
    return service.guard.admit(authorization, api_key, request.remote_addr or "")


def _body(limit: int) -> bytes:
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        body = None
    if body is None or len(body) > limit:
        raise InvalidInput(f"the body is larger than {limit} bytes", code="body_too_large", status=413)
    return body


def _operational(service: Service, path: str) -> Callable[[], Response]:
    def view() -> Response:
        if health.is_guarded(service, path):
            try:
                _admitted(service)
            except Refusal as refusal:
                return _refuse(refusal, _request_id())
        found = health.respond(service, path)
        if found is None:
            raise KeyError(path)
        status, content_type, body = found
        return Response(body, status, content_type=content_type)

    return view


def _request_id() -> str:
    return correlation_id(request.headers.get("X-Request-Id"))


def _respond(status: int, body: bytes, request_id: str) -> Response:
    return Response(body, status, {"X-Request-Id": request_id}, content_type=health.JSON)


def _refuse(refusal: Refusal, request_id: str) -> Response:
    response = _respond(refusal.status, error_json(refusal, request_id), request_id)
    response.headers.update(refusal.headers)
    return response


def _on_http_exception(exc: HTTPException) -> Response:
    code, message = WORDS.get(exc.code or 500, ("http_error", "the request was refused"))
    return _refuse(Refusal(message, code=code, status=exc.code), _request_id())


def _on_exception(exc: Exception) -> Response:
    LOG.error("unexpected", exc_info=exc)
    return _refuse(Failed("internal error"), _request_id())
