"""Between protobuf messages and the core's requests and answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.struct_pb2 import ListValue, Struct, Value

from proofload_servers.serving import Answer, Refusal

from .prediction_pb2 import Error, GetModelInfoResponse, Model, PredictRequest, PredictResponse, Timing
from .statuses import code_of, retry_after_s


def request_of(message: PredictRequest) -> dict[str, Any]:
    """The request body of the contract; members that were not sent are not there."""
    request: dict[str, Any] = {}
    if message.id:
        request["id"] = message.id
    if message.HasField("transaction"):
        request["transaction"] = plain_struct(message.transaction)
    if message.values:
        request["values"] = list(message.values)
    if message.image:
        request["image"] = message.image
    if message.explain:
        request["explain"] = True
    return request


def response_of(answer: Answer) -> PredictResponse:
    response = without_model(answer)
    response.model.name = answer.model_name
    response.model.version = answer.model_version
    return response


def without_model(answer: Answer) -> PredictResponse:
    """An answer inside a batch: the model stands once, beside the predictions."""
    response = PredictResponse(id=answer.id, timing_ms=Timing(queue=answer.queue_ms, compute=answer.compute_ms))
    prediction = answer.prediction
    if isinstance(prediction, float):
        response.prediction.number_value = prediction
    else:
        _fill(response.prediction, prediction)
    if answer.features is not None:
        response.features.CopyFrom(struct_of(answer.features))
    return response


def refusal_of(request_id: str, refusal: Refusal) -> PredictResponse:
    """A refused message of a stream."""
    error = Error(
        code=code_of(refusal).value[0],
        message=refusal.message,
        reason=refusal.code,
        retry_after_s=retry_after_s(refusal) or 0.0,
    )
    return PredictResponse(id=request_id, error=error)


def model_of(answer: Answer) -> Model:
    return Model(name=answer.model_name, version=answer.model_version)


def info_of(info: Mapping[str, Any]) -> GetModelInfoResponse:
    """What /model/info says."""
    return GetModelInfoResponse(
        name=info["name"],
        version=info["version"],
        framework=info["framework"],
        kind=info["kind"],
        features=[struct_of(feature) for feature in info["features"]],
        schema_sha256=info["schema_sha256"],
        files=info["files"],
        device=info["device"],
        threads=info["threads"],
        runtime=info["runtime"] or "",
        batching=struct_of(info["batching"]),
    )


def plain_struct(message: Struct) -> dict[str, Any]:
    """A Struct as a dict: numbers are floats, as on the wire."""
    fields = message.fields
    return {key: _plain(fields[key]) for key in fields}


def struct_of(values: Mapping[str, Any]) -> Struct:
    struct = Struct()
    for key, value in values.items():
        _fill(struct.fields[key], value)
    return struct


def _plain(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return plain_struct(value.struct_value)
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    if kind is None or kind == "null_value":
        return None
    return getattr(value, kind)


def _fill(message: Value, value: Any) -> None:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        message.null_value = 0  # type: ignore[assignment]  # NullValue.NULL_VALUE; NaN has no JSON form either
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, int | float):
        message.number_value = value
    elif isinstance(value, str):
        message.string_value = value
    elif isinstance(value, Mapping):
        message.struct_value.CopyFrom(struct_of(value))
    elif isinstance(value, Sequence):
        message.list_value.CopyFrom(_list_of(value))
    else:
        raise TypeError(f"{type(value).__name__} has no JSON form")


def _list_of(values: Sequence[Any]) -> ListValue:
    found = ListValue()
    for value in values:
        _fill(found.values.add(), value)
    return found
