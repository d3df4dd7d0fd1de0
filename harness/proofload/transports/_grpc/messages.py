"""JSON to protobuf bytes, once per payload, and protobuf bytes to JSON, once per answer.

The JSON form of an answer has the names of the .proto file (`timing_ms`, not `timingMs`), fields
without presence at their default (a prediction of 0.0 is there), enums by name, bytes as base64. In one point it
differs from protobuf's own mapping: 64-bit integers are numbers, so that they can be compared with numbers.

Reading is compiled once per message type into closures, because a general walk over descriptors
costs more than the rest of a call.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from proofload.errors import InputError

_PREFIX = struct.Struct(">BI")
_AT_ONCE = 16
"""Payloads made into messages before what is due gets its turn: about half a millisecond's work."""
_Read = Callable[[Any], Any]
_OWN_FORM = (
    "google.protobuf.Timestamp",
    "google.protobuf.Duration",
    "google.protobuf.FieldMask",
    "google.protobuf.Any",
)
_WRAPPERS = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)


def framed(message: bytes) -> bytes:
    """A message as gRPC sends it: not compressed, its length before it."""
    return _PREFIX.pack(0, len(message)) + message


async def encoded(kind: type[Message], bodies: Sequence[bytes]) -> list[bytes]:
    """All payloads' messages, made in small parts: an arm is opened while the requests of another one are due.

    Raises InputError as `encode` does.
    """
    messages = []
    for index, body in enumerate(bodies):
        if index % _AT_ONCE == 0:
            await asyncio.sleep(0)
        messages.append(encode(kind, body, index))
    return messages


def encode(kind: type[Message], body: bytes, index: int) -> bytes:
    """Raises InputError, naming the payload, when the body is not the message's JSON form."""
    try:
        value = orjson.loads(body)
        if not isinstance(value, dict) and not kind.DESCRIPTOR.full_name.startswith("google.protobuf."):
            raise ValueError("the body is not a JSON object")
        return json_format.ParseDict(value, kind()).SerializeToString()
    except (json_format.ParseError, orjson.JSONDecodeError, ValueError, TypeError) as exc:
        raise InputError(
            f"payload {index} is not a {kind.DESCRIPTOR.full_name}",
            evidence=f"{exc}\n{body[:200].decode('utf-8', 'replace')}",
            cause="the body's members must be the message's fields",
        ) from exc


class Reader:
    """Messages of one type as JSON values."""

    def __init__(self, kind: type[Message]) -> None:
        self._parse = kind.FromString
        self._read = _Compiler().message(kind.DESCRIPTOR)

    def read(self, raw: bytes) -> Any:
        """Raises ValueError for bytes that are no such message."""
        try:
            return self._read(self._parse(raw))
        except (DecodeError, RecursionError, json_format.SerializeToJsonError) as exc:
            raise ValueError(f"not a protobuf message of the expected type: {exc}") from exc


def refusal_reader(kind: type[Message]) -> Callable[[bytes], tuple[int, str] | None] | None:
    """For streams, whose answers have no status of their own: reads a member `error` with a number `code`.

    That is the shape of google.rpc.Status. None when the message has no such member.
    """
    error = kind.DESCRIPTOR.fields_by_name.get("error")
    if error is None or error.message_type is None or error.is_repeated:
        return None
    code = error.message_type.fields_by_name.get("code")
    if code is None or code.cpp_type not in _INTEGERS:
        return None
    has_message = "message" in error.message_type.fields_by_name

    def read(raw: bytes) -> tuple[int, str] | None:
        try:
            message: Any = kind.FromString(raw)
        except DecodeError:
            return None
        if not message.HasField("error") or not message.error.code:
            return None
        return message.error.code, str(message.error.message) if has_message else ""

    return read


_INTEGERS = (
    FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64, FieldDescriptor.CPPTYPE_ENUM,
)  # fmt: skip


class _Compiler:
    """Closures by message type; recursive types find themselves through the table."""

    def __init__(self) -> None:
        self._readers: dict[str, _Read] = {}

    def message(self, descriptor: Any) -> _Read:
        name = descriptor.full_name
        if name not in self._readers:
            self._readers[name] = lambda message: self._made(name, message)  # for a type inside itself
            self._readers[name] = self._make(descriptor)
        return self._readers[name]

    def _made(self, name: str, message: Any) -> Any:
        return self._readers[name](message)

    def _make(self, descriptor: Any) -> _Read:
        name = descriptor.full_name
        if name == "google.protobuf.Struct":
            return _struct
        if name == "google.protobuf.Value":
            return _value
        if name == "google.protobuf.ListValue":
            return _list
        if name in _WRAPPERS:
            convert = _scalar(descriptor.fields_by_name["value"])
            return lambda message: convert(message.value)
        if name in _OWN_FORM:
            return lambda message: json.loads(json_format.MessageToJson(message))
        always: list[tuple[str, _Read]] = []
        present: list[tuple[str, _Read]] = []
        for field in descriptor.fields:
            (present if field.has_presence else always).append((field.name, self._field(field)))

        def read(message: Any) -> Any:
            out = {key: convert(getattr(message, key)) for key, convert in always}
            for key, convert in present:
                if message.HasField(key):
                    out[key] = convert(getattr(message, key))
            return out

        return read

    def _field(self, field: FieldDescriptor) -> _Read:
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            value_field = entry.fields_by_name["value"]
            value = self._one(value_field)
            key = _map_key(entry.fields_by_name["key"])
            return lambda found: {key(name): value(found[name]) for name in found}
        one = self._one(field)
        if field.is_repeated:
            return list if one is _same else lambda found: [one(item) for item in found]
        return one

    def _one(self, field: FieldDescriptor) -> _Read:
        return self.message(field.message_type) if field.message_type is not None else _scalar(field)


def _scalar(field: FieldDescriptor) -> _Read:
    if field.enum_type is not None:
        names = {value.number: value.name for value in field.enum_type.values}
        return lambda number: names.get(number, number)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda raw: base64.b64encode(raw).decode("ascii")
    if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return _finite
    return _same


def _same(value: Any) -> Any:
    return value


def _finite(value: float) -> Any:
    """JSON has no numbers for these; protobuf's JSON form writes words."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _map_key(field: FieldDescriptor) -> Callable[[Any], str]:
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return lambda key: "true" if key else "false"
    return str


def _struct(message: Any) -> dict[str, Any]:
    fields = message.fields
    return {key: _value(fields[key]) for key in fields}


def _list(message: Any) -> list[Any]:
    return [_value(item) for item in message.values]


def _value(message: Any) -> Any:
    kind = message.WhichOneof("kind")
    if kind == "number_value":
        return _finite(message.number_value)
    if kind == "string_value":
        return message.string_value
    if kind == "bool_value":
        return message.bool_value
    if kind == "struct_value":
        return _struct(message.struct_value)
    if kind == "list_value":
        return _list(message.list_value)
    return None
