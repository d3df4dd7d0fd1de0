"""The parts of the gRPC transports that need no peer: header blocks, messages, schemas, addresses."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from hpack import Decoder, Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from proofload.errors import InputError, TargetError
from proofload.testing.transport_kit import RecordingSink
from proofload.transports import TransportSpec
from proofload.transports import grpc as fast
from proofload.transports._grpc.headers import HeaderReader, encode_block, timeout_field
from proofload.transports._grpc.messages import Reader, encode, encoded, refusal_reader
from proofload.transports._grpc.schema import Method, UnknownMethodError, load_method

EVERYTHING = """
syntax = "proto3";
package lab;
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "shared/leaf.proto";
enum Colour { NONE = 0; RED = 1; }
message Status { int32 code = 1; string message = 2; }
message Everything {
  double number = 1;
  int32 whole = 2;
  bool yes = 3;
  string snake_case = 4;
  bytes raw = 5;
  Colour colour = 6;
  repeated double numbers = 7;
  repeated Leaf leaves = 8;
  map<string, int32> counts = 9;
  map<bool, Leaf> by_flag = 10;
  Leaf leaf = 11;
  optional double maybe = 12;
  oneof either { string left = 13; Leaf right = 14; }
  google.protobuf.Struct open = 15;
  google.protobuf.Value any = 16;
  google.protobuf.Timestamp when = 17;
  google.protobuf.DoubleValue wrapped = 18;
  Everything inner = 19;
  Status error = 20;
}
message Big { int64 count = 1; }
service Lab {
  rpc Say(Everything) returns (Everything);
  rpc Count(Big) returns (Big);
  rpc Talk(stream Everything) returns (stream Everything);
  rpc Listen(Everything) returns (stream Everything);
}
"""
LEAF = """
syntax = "proto3";
package lab;
message Leaf { string name = 1; double weight = 2; }
"""


@pytest.fixture(scope="module")
def proto(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose import is found from a folder above its own."""
    root = tmp_path_factory.mktemp("protos")
    (root / "shared").mkdir()
    (root / "shared" / "leaf.proto").write_text(LEAF, encoding="utf-8")
    (root / "v1").mkdir()
    path = root / "v1" / "lab.proto"
    path.write_text(EVERYTHING, encoding="utf-8")
    return path


async def nobody(path: str, messages: Sequence[bytes]) -> list[bytes]:
    raise UnknownMethodError


def method(proto: Path | str, name: str = "lab.Lab/Say", **table: Any) -> Method:
    return asyncio.run(load_method({"method": name, "proto": str(proto), **table}, nobody))


@pytest.fixture(scope="module")
def say(proto: Path) -> Method:
    return method(proto)


# Header blocks.

names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300)


@given(st.lists(st.tuples(names, values), max_size=10))
def test_our_blocks_say_what_was_meant_to_any_decoder_in_any_state(fields: list[tuple[str, str]]) -> None:
    decoder = Decoder()
    decoder.decode(Encoder().encode([("x-left", "behind")]))
    for _ in range(2):
        assert [(str(name), str(value)) for name, value in decoder.decode(encode_block(fields))] == fields
        assert not decoder.header_table.dynamic_entries


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["0", "5", "8", "13"]), st.integers(0, 3), st.integers(0, 9)), max_size=60))
def test_memoised_reading_equals_reading_afresh(script: list[tuple[str, int, int]]) -> None:
    """The same blocks in the same order through our reader and through a decoder that remembers no block."""
    encoder, plain, reader = Encoder(), Decoder(), HeaderReader()
    for status, number, resize in script:
        if resize == 0:
            encoder.header_table_size = 64 * (number + 1)  # small tables evict
        block = encoder.encode([("grpc-status", status), (f"x-{number}", "v" * number * 20)])
        told: dict[Any, Any] = dict(plain.decode(block))
        assert reader.read(block).grpc_status == int(told["grpc-status"])


def test_a_block_that_cannot_be_decoded_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="cannot be decoded"):
        HeaderReader().read(b"\xff\xff\xff")


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5000m"), (0.0001, "1m"), (0.25, "250m"), (1e6, "1000000S"), (1e12, "99999999S")]
)
def test_a_timeout_keeps_to_eight_digits(seconds: float, text: str) -> None:
    [(name, value)] = Decoder().decode(timeout_field(seconds))
    assert (str(name), str(value)) == ("grpc-timeout", text)


# Messages.

leaves = st.fixed_dictionaries(
    {}, optional={"name": st.text(max_size=5), "weight": st.floats(width=32, allow_nan=False)}
)
plain = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
everything = st.fixed_dictionaries(
    {},
    optional={
        "number": st.floats(),
        "whole": st.integers(-(2**31), 2**31 - 1),
        "yes": st.booleans(),
        "snake_case": st.text(max_size=8),
        "raw": st.sampled_from(["", "AAEC", "/+8="]),
        "colour": st.sampled_from(["NONE", "RED"]),
        "numbers": st.lists(st.floats(allow_nan=False), max_size=4),
        "leaves": st.lists(leaves, max_size=3),
        "counts": st.dictionaries(st.text(max_size=4), st.integers(0, 9), max_size=3),
        "by_flag": st.dictionaries(st.sampled_from(["true", "false"]), leaves, max_size=2),
        "leaf": leaves,
        "maybe": st.floats(allow_nan=False),
        "right": leaves,
        "open": st.dictionaries(st.text(max_size=5), plain, max_size=3),
        "any": plain,
        "when": st.just("2025-03-01T12:00:00Z"),
        "wrapped": st.floats(allow_nan=False, allow_infinity=False),
    },
)


@settings(max_examples=150, deadline=None)
@given(body=everything, inner=everything)
def test_the_compiled_reader_agrees_with_protobufs_own_json(say: Method, body: dict[str, Any], inner: Any) -> None:
    message = json_format.ParseDict(_worded({**body, "inner": inner}), say.response())
    own = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    assert Reader(say.response).read(message.SerializeToString()) == own


def _worded(value: Any) -> Any:
    """JSON's missing numbers as protobuf's words for them."""
    if isinstance(value, dict):
        return {key: _worded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_worded(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def test_a_prediction_of_zero_is_present_and_a_64_bit_integer_is_a_number(proto: Path, say: Method) -> None:
    assert Reader(say.response).read(b"")["number"] == 0.0
    count = method(proto, "lab.Lab/Count")
    assert Reader(count.response).read(encode(count.request, b'{"count": 9007199254740993}', 0)) == {"count": 2**53 + 1}


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"unheard_of": 1}', b'{"number": "many"}', b"3"])
def test_a_body_that_is_not_the_message_names_its_payload(say: Method, body: bytes) -> None:
    with pytest.raises(InputError, match=r"payload 17 is not a lab\.Everything"):
        encode(say.request, body, 17)


def test_what_is_due_gets_its_turn_while_payloads_become_messages(say: Method) -> None:
    bodies = [json.dumps({"whole": number}).encode() for number in range(1_000)]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def both() -> list[bytes]:
        beside = asyncio.create_task(others())
        messages = await encoded(say.request, bodies)
        beside.cancel()
        return messages

    messages = asyncio.run(both())
    assert messages == [encode(say.request, body, 0) for body in bodies]
    assert turns > 50


def test_bytes_that_are_no_message_are_a_value_error(say: Method) -> None:
    with pytest.raises(ValueError, match="not a protobuf message"):
        Reader(say.response).read(b"\xff\xff")


def test_a_status_inside_a_streamed_answer_is_found(say: Method, proto: Path) -> None:
    read = refusal_reader(say.response)
    assert read is not None
    refused = json_format.ParseDict({"error": {"code": 8, "message": "busy"}}, say.response())
    assert read(refused.SerializeToString()) == (8, "busy")
    assert read(json_format.ParseDict({"error": {}}, say.response()).SerializeToString()) is None
    assert read(b"") is None
    assert refusal_reader(method(proto, "lab.Lab/Count").response) is None


# Schemas and addresses.


def test_streaming_is_seen_from_the_description(proto: Path) -> None:
    assert not method(proto).streaming
    assert method(proto, "lab.Lab/Talk", stream=False).streaming


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"method": ""}, "names no gRPC method"),
        ({"method": "Say"}, "names no gRPC method"),
        ({"method": "lab.Nothing/Say"}, "no service"),
        ({"method": "lab.Lab/Nothing"}, "no method"),
        ({"method": "lab.Lab/Listen"}, "streams on the server's side only"),
        ({"method": "lab.Lab/Say", "stream": True}, "is a unary method"),
        ({"method": "lab.Lab/Say", "proto": "/nowhere/none.proto"}, "there is no file"),
    ],
)
def test_a_wrong_request_table_is_an_input_error_that_says_what(proto: Path, table: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        asyncio.run(load_method({"proto": str(proto), **table}, nobody))


def test_a_proto_that_does_not_compile_shows_the_compilers_words(tmp_path: Path) -> None:
    (tmp_path / "bad.proto").write_text('syntax = "proto3"; message {', encoding="utf-8")
    with pytest.raises(InputError, match="does not compile") as caught:
        method(tmp_path / "bad.proto")
    assert "bad.proto" in caught.value.evidence


def test_a_server_without_reflection_is_a_target_error_that_names_the_way_out() -> None:
    with pytest.raises(TargetError, match="does not offer gRPC reflection") as caught:
        method("reflection")
    assert "request.proto" in caught.value.remedy


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://127.0.0.1:1", {}),
        ("grpc://", {}),
        ("grpc://127.0.0.1:99999", {}),
        ("grpc://127.0.0.1:5/lab.Lab/Say", {}),
        ("grpc://127.0.0.1:5", {"grpc-timeout": "1S"}),
        ("grpc://127.0.0.1:5", {":path": "/"}),
        ("grpc://127.0.0.1:5", {"x-key": "line\nbreak"}),
    ],
)
def test_an_address_or_header_that_grpc_cannot_have_is_an_input_error(url: str, headers: dict[str, str]) -> None:
    with pytest.raises(InputError):
        fast.create(TransportSpec(name="lab", url=url, bodies=[], headers=headers), RecordingSink())


def test_the_reference_servers_json_form_is_the_http_servers(tmp_path: Path) -> None:
    """The contract's request body parses as it stands, and the answer's members have the contract's names."""
    folder = Path(__file__).resolve().parents[2] / "reference_servers" / "proofload_servers" / "grpc_service"
    predict = method(folder / "prediction.proto", "proofload.serving.v1.Prediction/Predict")
    body = {"id": "a", "transaction": {"amount": 3, "merchant": None}, "explain": True}
    message = predict.request.FromString(encode(predict.request, json.dumps(body).encode(), 0))
    assert json_format.MessageToDict(message) == {**body, "transaction": {"amount": 3.0, "merchant": None}}
    answer = {"id": "a", "prediction": {"class": 3.0, "score": 0.5}, "model": {"name": "m", "version": "1"}}
    raw = json_format.ParseDict({**answer, "timing_ms": {"queue": 1.5}}, predict.response()).SerializeToString()
    assert Reader(predict.response).read(raw) == {**answer, "timing_ms": {"queue": 1.5, "compute": 0.0}}
