"""Payload files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proofload.errors import InputError
from proofload.workloads import payloads as module
from proofload.workloads.payloads import load_payloads, no_payloads


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "p.jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_bodies_are_compact_and_everything_else_stands_beside_them(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '{"body": {"x": [1, 2.5]}, "expect": 0.5, "id": "a", "user": 7}\n\n'
        '{"body": null}\n{"body": "é", "expect": null}\n',
    )
    pool = load_payloads(path)
    assert pool.bodies == (b'{"x":[1,2.5]}', b"null", '"é"'.encode())
    assert pool.expects == (0.5, None, None)
    assert pool.unexpected == (False, True, False)
    assert pool.ids == ("a", None, None)
    assert pool.users == ("7", None, None)
    assert len(pool) == 3


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    assert load_payloads(written(tmp_path, b'\xef\xbb\xbf{"body": 1}\r\n{"body": 2}\r\n')).bodies == (b"1", b"2")


def test_repeated_lines_are_payloads_of_their_own(tmp_path: Path) -> None:
    assert len(load_payloads(written(tmp_path, '{"body": 1}\n' * 5))) == 5


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_any_json_body_survives(tmp_path_factory: pytest.TempPathFactory, body: Any) -> None:
    path = written(tmp_path_factory.mktemp("any"), json.dumps({"body": body}))
    assert json.loads(load_payloads(path).bodies[0]) == body


def test_a_lone_surrogate_is_sent_as_an_escape(tmp_path: Path) -> None:
    assert load_payloads(written(tmp_path, '{"body": "\\ud800"}')).bodies == (b'"\\ud800"',)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"body": 1', "not JSON"),
        ("[1, 2]", "a JSON object is expected, not a list"),
        ("3", "not a number"),
        ('{"values": [1]}', "there is no `body`; is the line itself the body?"),
        ('{"bdy": 1}', "there is no `body`; is 'bdy' meant to be it?"),
        ('{"body": 1, "expected": 2}', "unknown member 'expected'; did you mean 'expect'?"),
        ('{"body": NaN}', "NaN is no JSON number"),
        ('{"body": 1e999}', "cannot be sent as JSON"),
        ('{"body": 1, "id": [1]}', "`id` is a list; text or a whole number is expected"),
        ('{"body": 1, "user": true}', "`user` is true or false"),
        ('{"body": ' + "[" * 100_000, "nested too deeply"),
    ],
)
def test_a_wrong_line_is_told_with_its_number(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        load_payloads(written(tmp_path, f'{{"body": 0}}\n\n{line}\n'))
    assert "p.jsonl, line 3: " in caught.value.what
    assert says in caught.value.what


def test_binary_garbage_is_told_by_its_first_bad_byte(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 1: byte 1 is 0x8b: not UTF-8 text"):
        load_payloads(written(tmp_path, b"\x1f\x8b\x08\x00\xff"))


@pytest.mark.parametrize("content", ["", "\n\n  \n"])
def test_an_empty_file_is_no_pool(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match="holds no payload"):
        load_payloads(written(tmp_path, content))


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the payload file"):
        load_payloads(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="cannot read the payload file"):
        load_payloads(tmp_path)


def test_sizes_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, '{"body": "123456789"}\n' * 4)
    monkeypatch.setattr(module, "MAX_PAYLOADS", 3)
    with pytest.raises(InputError, match="more than 3 payloads"):
        load_payloads(path)
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 10)
    with pytest.raises(InputError, match="line 1: the line is longer than 10 bytes"):
        load_payloads(path)
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 10)
    with pytest.raises(InputError, match="too large for a payload file"):
        load_payloads(path)


def test_a_target_without_payloads_is_told_how_to_write_them() -> None:
    error = no_payloads("h:80")
    line = error.remedy[error.remedy.index("{") : error.remedy.rindex("}") + 1]
    assert set(json.loads(line)) == {"body", "expect"}
    assert "--payloads requests.jsonl" in error.remedy


def test_the_digest_is_of_what_is_sent_and_its_order(tmp_path: Path) -> None:
    def digest(*lines: str) -> str:
        path = tmp_path / "payloads.jsonl"
        path.write_text("\n".join(lines))
        return load_payloads(path).bodies_sha256()

    first = digest('{"body": [1, 2]}', '{"body": 3}')
    assert first == digest('{"body": [1,2], "expect": 7, "user": "x"}', '{"body": 3}')
    assert len({first, digest('{"body": 3}', '{"body": [1, 2]}'), digest('{"body": [1, 4]}', '{"body": 3}')}) == 3
