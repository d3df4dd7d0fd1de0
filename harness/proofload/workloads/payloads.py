"""What requests carry: payload files, one JSON object per line.

{"body": …, "expect": …, "id": …, "user": …, "headers": {…}}      all but `body` optional; `body` is any JSON
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from proofload.errors import InputError

MAX_FILE_BYTES = 1 << 30
MAX_LINE_BYTES = 64 << 20
MAX_PAYLOADS = 2_000_000
_MEMBERS = ("body", "expect", "id", "user", "headers")
_NO_HEADERS: dict[str, str] = {}
_EXAMPLE = '{"body": {"values": [0.1, 0.2]}, "expect": 0.73}'


@dataclass(frozen=True, slots=True)
class Payloads:
    """A pool of request bodies, and by the same index what belongs to each."""

    bodies: tuple[bytes, ...]
    """Compact JSON text."""
    expects: tuple[Any, ...]
    """The prediction that is right; None also where `unexpected`."""
    unexpected: tuple[bool, ...]
    """True where the line states no `expect` (`"expect": null` does): every answer is correct then."""
    ids: tuple[str | None, ...]
    users: tuple[str | None, ...]
    headers: tuple[Mapping[str, str], ...] = ()
    """What each payload adds to the target's headers; empty where none adds any."""

    def __len__(self) -> int:
        return len(self.bodies)

    def bodies_sha256(self) -> str:
        """Of what is sent, in order: two pools of the same ask the same, whatever they expect."""
        found = hashlib.sha256()
        for body in self.bodies:
            found.update(body + b"\n")  # which compact JSON has none of
        return found.hexdigest()


def load_payloads(path: str | Path) -> Payloads:
    """All payloads of a file. Raises InputError with the number of the first line that is wrong."""
    path = Path(path)
    bodies: list[bytes] = []
    expects: list[Any] = []
    unexpected: list[bool] = []
    ids: list[str | None] = []
    users: list[str | None] = []
    headers: list[Mapping[str, str]] = []
    for number, line in _lines(path):
        item = _item(path, number, line)
        bodies.append(_compact(path, number, item["body"]))
        expects.append(item.get("expect"))
        unexpected.append("expect" not in item)
        ids.append(_name(path, number, item, "id"))
        users.append(_name(path, number, item, "user"))
        headers.append(_headers(path, number, item))
        if len(bodies) > MAX_PAYLOADS:
            raise InputError(
                f"{path} holds more than {MAX_PAYLOADS:,} payloads",
                cause="all payloads are kept in memory by every engine process",
                remedy="give a sample of them: payloads are drawn again and again at random",
            )
    if not bodies:
        raise InputError(f"{path} holds no payload", remedy=f"write one JSON object per line, like {_EXAMPLE}")
    own = tuple(headers) if any(headers) else ()
    return Payloads(tuple(bodies), tuple(expects), tuple(unexpected), tuple(ids), tuple(users), own)


def no_payloads(target: str) -> InputError:
    """The error for a target that has no payload file."""
    return InputError(
        f"target {target} has no payloads: there is nothing to send",
        cause="the target file has no `payloads` key and --payloads names no file",
        remedy=f"write a file with one JSON object per line, like {_EXAMPLE}, and name it: --payloads requests.jsonl",
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        if path.is_file() and path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(
                f"{path} is too large for a payload file",
                evidence=f"{path.stat().st_size:,} bytes; at most {MAX_FILE_BYTES:,} are read",
                remedy=f"give a sample of it: head -n 10000 {path} > sample.jsonl",
            )
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    _refuse(path, number, f"the line is longer than {MAX_LINE_BYTES:,} bytes", b"")
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if line.strip():
                    yield number, line
    except OSError as exc:
        raise InputError(
            f"cannot read the payload file {path}",
            evidence=os.strerror(exc.errno) if exc.errno else str(exc),
            remedy="check the path; paths in a target file are relative to that file, --payloads to where you are",
        ) from exc


def _item(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as exc:
        _refuse(path, number, f"byte {exc.start} is 0x{line[exc.start]:02x}: not UTF-8 text, let alone JSON", b"", exc)
    try:
        item = json.loads(text, parse_constant=_no_constant)
    except RecursionError as exc:
        _refuse(path, number, "the JSON is nested too deeply", line, exc)
    except ValueError as exc:
        _refuse(path, number, f"not JSON: {exc}", line, exc)
    if not isinstance(item, dict):
        _refuse(path, number, f"a JSON object is expected, not {_kind(item)}", line)
    unknown = [key for key in item if key not in _MEMBERS]
    if "body" not in item:
        near = difflib.get_close_matches("body", unknown, n=1)
        hint = f"; is {near[0]!r} meant to be it?" if near else "; is the line itself the body? Then wrap it"
        _refuse(path, number, f"there is no `body`{hint}", line)
    if unknown:  # a misspelt `expect` would silently switch the correctness check off
        near = difflib.get_close_matches(unknown[0], _MEMBERS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        _refuse(path, number, f"unknown member {unknown[0]!r}{hint} (known: {', '.join(_MEMBERS)})", line)
    return item


def _compact(path: Path, number: int, body: Any) -> bytes:
    try:
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError) as exc:
        _refuse(path, number, f"the body cannot be sent as JSON: {exc}", b"", exc)
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate is valid JSON only as an escape
        return json.dumps(body, separators=(",", ":")).encode()


def _name(path: Path, number: int, item: dict[str, Any], member: str) -> str | None:
    value = item.get(member)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        _refuse(path, number, f"`{member}` is {_kind(value)}; text or a whole number is expected", b"")
    return str(value)


def _headers(path: Path, number: int, item: dict[str, Any]) -> Mapping[str, str]:
    value = item.get("headers", _NO_HEADERS)
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        _refuse(path, number, "`headers` is not an object of texts", b"")
    return value


def _refuse(path: Path, number: int, why: str, line: bytes, cause: Exception | None = None) -> NoReturn:
    shown = line[:160].decode("utf-8", "replace").rstrip() + ("…" if len(line) > 160 else "")
    raise InputError(
        f"{path}, line {number}: {why}", evidence=shown, remedy=f"each line is one JSON object, like {_EXAMPLE}"
    ) from cause


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
