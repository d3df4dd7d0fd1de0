"""The JSON of requests, answers and errors, the same over HTTP and Kafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from .answer import Answer
from .refusals import InvalidInput, Refusal


def read_request(body: bytes) -> Mapping[str, Any]:
    """The object in `body`. Raises InvalidInput, without the parser's own words; NaN and Infinity are not JSON."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidInput("the body is not valid JSON", code="invalid_json") from None
    if not isinstance(request, dict):
        raise InvalidInput("the body must be a JSON object", code="invalid_json")
    return request


def read_instances(request: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The requests of a batch call. Their number is checked by Service.submit_many."""
    instances = request.get("instances")
    if not isinstance(instances, list) or not instances:
        raise InvalidInput("instances must be a list with at least one request")
    for position, instance in enumerate(instances):
        if not isinstance(instance, dict):
            raise InvalidInput(f"instances[{position}] must be an object")
    return instances


def answer_json(answer: Answer) -> bytes:
    """The response to one request."""
    return orjson.dumps(answer.body())


def batch_json(answers: Sequence[Answer]) -> bytes:
    """The response to a batch call, in the order of its instances. The model stands once, beside the predictions."""
    predictions = []
    for answer in answers:
        body = answer.body()
        del body["model"]
        predictions.append(body)
    first = answers[0]
    model = {"name": first.model_name, "version": first.model_version}
    return orjson.dumps({"predictions": predictions, "model": model})


def error_json(refusal: Refusal, request_id: str) -> bytes:
    """The body of an error: a stable code, a message for people, and the id under which the log has the rest."""
    return orjson.dumps({"error": {"code": refusal.code, "message": refusal.message, "request_id": request_id}})


def json_bytes(value: Any) -> bytes:
    """Any other JSON answer (health, model info)."""
    return orjson.dumps(value)
