"""Flags, ids, deadlines and JSON: what comes in from outside before any request is looked at."""

from __future__ import annotations

import json
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proofload_servers.serving import InvalidInput, Overloaded, Settings, arguments, correlation_id, deadline_from_ms
from proofload_servers.serving.wire import error_json, read_instances, read_request


def parse(*argv: str) -> Settings:
    return Settings.of(arguments("test", "test").parse_args(argv))


def test_the_defaults_of_the_flags_are_those_of_the_record() -> None:
    assert parse("--model", "scorer") == Settings(model="scorer")


def test_the_environment_fills_in_and_a_flag_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFLOAD_MODEL", "fraud")
    monkeypatch.setenv("PROOFLOAD_MAX_BATCH", "5")
    monkeypatch.setenv("PROOFLOAD_ADAPTIVE", "0")
    assert parse() == Settings(model="fraud", max_batch=5, adaptive=False)
    assert parse("--max-batch", "9", "--adaptive") == Settings(model="fraud", max_batch=9)


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("--model", "m", "--device", "tpu"),
        ("--model", "m", "--port", "70000"),
        ("--model", "m", "--threads", "0"),
        ("--model", "m", "--max-delay-ms", "nan"),
        ("--model", "m", "--max-batch", "1.5"),
    ],
)
def test_a_wrong_flag_ends_with_exit_2(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(*argv)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), [("DEVICE", "tpu"), ("ADAPTIVE", "maybe"), ("PORT", "x")])
def test_a_wrong_variable_ends_with_exit_2(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"PROOFLOAD_{name}", value)
    with pytest.raises(SystemExit) as ended:
        parse("--model", "m")
    assert ended.value.code == 2


@given(st.text(max_size=300))
def test_a_correlation_id_is_always_safe_to_log_and_to_echo(given_id: str) -> None:
    safe = correlation_id(given_id)
    assert 0 < len(safe) <= 128
    assert all(char.isascii() and (char.isalnum() or char in "._:-") for char in safe)


def test_a_good_correlation_id_is_kept_and_a_missing_one_is_new_each_time() -> None:
    assert correlation_id("a-B_1.2:3") == "a-B_1.2:3"
    assert correlation_id(None) != correlation_id(None)


def test_a_deadline_runs_from_the_instant_given() -> None:
    assert deadline_from_ms("250", since_ns=1_000) == 250_001_000
    assert deadline_from_ms(None) is None
    before = time.monotonic_ns()
    deadline = deadline_from_ms(10)
    assert deadline is not None
    assert before + 10_000_000 <= deadline <= time.monotonic_ns() + 10_000_000


@pytest.mark.parametrize("text", ["", "soon", "-1", "nan", "inf", "1e12"])
def test_a_timeout_that_is_no_duration_is_invalid(text: str) -> None:
    with pytest.raises(InvalidInput):
        deadline_from_ms(text)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"1", b'{"values": [NaN]}', b'{"values": [Infinity]}', b"\xff", b"[" * 5000]
)
def test_a_body_that_is_no_json_object_is_invalid_and_the_parser_is_not_quoted(body: bytes) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_request(body)
    assert refusal.value.message in {"the body is not valid JSON", "the body must be a JSON object"}


@pytest.mark.parametrize("request_body", [{}, {"instances": []}, {"instances": {}}, {"instances": [1]}])
def test_a_batch_call_needs_a_list_of_objects(request_body: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        read_instances(request_body)


@given(st.dictionaries(st.text(), st.none() | st.integers(-(2**53), 2**53) | st.text()))
def test_any_json_object_reads_as_itself(value: dict[str, object]) -> None:
    assert read_request(json.dumps(value, ensure_ascii=True).encode()) == value


def test_an_error_has_code_message_and_request_id() -> None:
    error = orjson.loads(error_json(Overloaded(retry_after_s=3.2), "r-1"))["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert (error["code"], error["request_id"]) == ("overloaded", "r-1")
    assert Overloaded(retry_after_s=3.2).retry_after_header == "4"
