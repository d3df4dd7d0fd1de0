"""HTTP/1.1, just enough and no more: prebuilt requests, and a parser for one answer at a time.

The usual answer (status line, Content-Length, body in one piece) takes the short way, and the shortest when
its head is the last one again, to the byte; chunked bodies, bodies that end with the connection, interim
answers and answers in pieces take the long one. All see the same bytes (RFC 9112).
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote

from proofload.errors import InputError

MAX_HEAD_BYTES = 64 * 1024
MAX_INTERIMS = 8
"""Interim answers (100 Continue, 103 Early Hints) before one real answer; honest servers send one or two."""
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: |\r\n|$)")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_URL_CHARACTERS = "!#$%&'()*+,-./:;=?@[]_~"
_ARMS = {b"baseline": 0, b"canary": 1}
_TOKEN = re.compile(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")


class ProtocolError(Exception):
    """The peer's bytes are not an HTTP/1.1 answer, or more than the client accepts."""


class Answer(NamedTuple):
    """A complete answer; `reusable`: the connection may carry another request.

    A tuple: one is made for each answer, at half the cost of a frozen dataclass.
    """

    status: int
    body: bytes
    reusable: bool
    arm: int = -1
    """Which arm a router says it came from; -1: nothing was said."""


def build_requests(
    url: SplitResult,
    method: str,
    headers: Mapping[str, str],
    bodies: tuple[bytes, ...],
    own_headers: Sequence[Mapping[str, str]] = (),
) -> list[bytes]:
    """The bytes of one request per body, each with its own headers where there are any. Raises InputError for a
    header that could not be sent.

    A user and password in the URL become Basic credentials, unless `headers` bring their own.
    """
    path = _sendable(url.path or "/") + (f"?{_sendable(url.query)}" if url.query else "")
    fixed = {"Host": url.netloc.rpartition("@")[2], "User-Agent": "proofload", "Accept": "*/*"}
    if bodies and any(bodies):
        fixed["Content-Type"] = "application/json"
    if url.username or url.password:
        user = f"{unquote(url.username or '')}:{unquote(url.password or '')}"
        fixed["Authorization"] = f"Basic {b64encode(user.encode()).decode()}"
    if not own_headers:
        start = _head(method, path, fixed, headers)
        return [start + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies]
    return [
        _head(method, path, fixed, _over(headers, own)) + b"Content-Length: %d\r\n\r\n" % len(body) + body
        for own, body in zip(own_headers, bodies, strict=True)
    ]


def _head(method: str, path: str, fixed: Mapping[str, str], headers: Mapping[str, str]) -> bytes:
    """Request line and header fields, `headers` in place of `fixed` ones of the same name."""
    merged = _over(fixed, headers)
    for name, value in merged.items():
        if not _TOKEN.match(name) or any(char in value for char in "\r\n\0"):
            raise InputError(f"the header {name!r} cannot be sent", cause="a line break or a character HTTP forbids")
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in merged.items())
    return head.encode("utf-8")


def _over(under: Mapping[str, str], upper: Mapping[str, str]) -> dict[str, str]:
    names = {name.lower() for name in upper}
    return {name: value for name, value in under.items() if name.lower() not in names} | dict(upper)


def _sendable(part: str) -> str:
    """A path or query as it may travel (RFC 3986 §2): all that is no URL character as %XX; what is encoded stays."""
    return quote(_STRAY_PERCENT.sub("%25", part), safe=_URL_CHARACTERS)


class AnswerParser:
    """Feeds on received bytes; gives the answer once it is complete. One instance per connection."""

    __slots__ = (
        "_arm",
        "_arm_field",
        "_buffer",
        "_chunked",
        "_have",
        "_interims",
        "_last_head",
        "_last_meaning",
        "_last_size",
        "_max_bytes",
        "_need",
        "_parts",
        "_reusable",
        "_status",
        "_until_close",
    )

    def __init__(self, max_bytes: int, arm_header: str = "") -> None:
        """`arm_header`: the field whose value, "canary" or "baseline", is to be read as the answer's arm."""
        self._max_bytes = max_bytes
        self._arm_field = f"\r\n{arm_header.lower()}:".encode() if arm_header else b""
        self._arm = -1
        self._buffer = b""
        self._last_head = b""  # of the last answer in one piece, its blank line included
        self._last_size = -1  # of that answer, head and body
        self._last_meaning = (0, True, -1)  # its status, reusable, arm
        self._interims = 0  # since the last real answer
        self._reset()

    def _reset(self) -> None:
        self._status = 0
        self._need = 0
        self._have = 0
        self._parts: list[bytes] = []
        self._chunked: _Chunks | None = None
        self._until_close = False
        self._reusable = True

    @property
    def started(self) -> bool:
        """Has any byte of the next answer come?"""
        return bool(self._status or self._buffer)

    def feed(self, data: bytes) -> Answer | None:
        """Raises ProtocolError; the connection is then of no further use."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        while not self._status:
            if len(data) == self._last_size and data.startswith(self._last_head):
                self._interims = 0
                status, reusable, arm = self._last_meaning
                return Answer(status, data[len(self._last_head) :], reusable, arm)
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._wait_for_head(data)
                return None
            self._read_head(data[:end])
            head, data = data[: end + 4], data[end + 4 :]
            if self._status < 200:  # interim: the real answer follows
                self._reset()
                self._interims += 1
                if self._interims > MAX_INTERIMS:
                    raise ProtocolError(f"more than {MAX_INTERIMS} interim answers before the real one")
                if not data:
                    return None
                continue
            if self._need and not self._until_close and len(data) == self._need and self._chunked is None:
                self._last_head, self._last_size = head, len(head) + len(data)
                self._last_meaning = (self._status, self._reusable, self._arm)
                return self._finish(data)
        return self._read_body(data)

    def _wait_for_head(self, data: bytes) -> None:
        if len(data) > MAX_HEAD_BYTES:
            raise ProtocolError(f"no end of the header within {MAX_HEAD_BYTES} bytes")
        if not data.startswith(b"HTTP/1."[: len(data)]):
            raise ProtocolError(f"not an HTTP/1 answer: it begins {data[:40]!r}")
        self._buffer = data

    def _read_head(self, head: bytes) -> None:
        if len(head) > MAX_HEAD_BYTES:
            raise ProtocolError(f"a header of more than {MAX_HEAD_BYTES} bytes")
        line = _STATUS_LINE.match(head)
        if line is None:
            raise ProtocolError(f"not an HTTP/1 status line: {head[:40]!r}")
        self._status = int(line[2])
        low = head.lower()
        options = _field(low, b"\r\nconnection:")
        self._reusable = b"close" not in options and (line[1] == b"1" or b"keep-alive" in options)
        if self._arm_field:
            self._arm = _ARMS.get(_field(low, self._arm_field).strip(), -1)
        if self._status < 200 or self._status in (204, 304):
            return
        coding = _field(low, b"\r\ntransfer-encoding:")
        if coding:
            if not coding.strip().endswith(b"chunked"):
                raise ProtocolError(f"transfer coding {coding.strip()!r} is not understood")
            self._chunked = _Chunks(self._max_bytes)
            return
        length = _field(low, b"\r\ncontent-length:").strip()
        if not length:
            self._until_close = b"\r\ncontent-length:" not in low
            if not self._until_close:
                raise ProtocolError("an empty Content-Length")
            self._reusable = False
        elif not length.isdigit():
            raise ProtocolError(f"Content-Length is {length[:40]!r}")
        else:
            self._need = int(length)
            if self._need > self._max_bytes:
                raise ProtocolError(f"an answer of {self._need} bytes, above the limit of {self._max_bytes}")

    def _read_body(self, data: bytes) -> Answer | None:
        if self._chunked is not None:
            rest = self._chunked.feed(data)
            if rest is None:
                return None
            return self._finish(self._chunked.body(), rest)
        self._parts.append(data)
        self._have += len(data)
        if self._until_close:
            if self._have > self._max_bytes:
                raise ProtocolError(f"an answer above the limit of {self._max_bytes} bytes")
            return None
        if self._have < self._need:
            return None
        body = b"".join(self._parts)
        return self._finish(body[: self._need], body[self._need :])

    def closed(self) -> Answer | None:
        """The peer closed: the answer, if closing was what completed it."""
        if not self._until_close or not self._status:
            return None
        return self._finish(b"".join(self._parts))

    def _finish(self, body: bytes, rest: bytes = b"") -> Answer:
        if rest:
            raise ProtocolError(f"{len(rest)} bytes more than the answer has: {rest[:40]!r}")
        answer = Answer(self._status, body, self._reusable, self._arm)
        self._reset()
        self._interims = 0
        return answer


class _Chunks:
    """A chunked body (RFC 9112 §7.1), fed piecewise without copying what is already read."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._total = 0
        self._pending = b""
        self._left = 0  # bytes of the current chunk still to come, its line end included
        self._in_trailer = False

    def body(self) -> bytes:
        return b"".join(self._parts)

    def feed(self, data: bytes) -> bytes | None:
        """What follows the body once it is complete; None before."""
        data = self._pending + data if self._pending else data
        self._pending = b""
        at = 0  # of what is not read yet; slicing the rest off for each chunk would copy it as often
        while not self._in_trailer:
            if self._left:
                at = self._take(data, at)
                if self._left:
                    return None
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                if len(data) - at > 1024:
                    raise ProtocolError("a chunk size line without end")
                self._pending = data[at:]
                return None
            size = _chunk_size(data[at:end])
            at = end + 2
            if size == 0:
                self._in_trailer = True
                continue
            self._total += size
            if self._total > self._max_bytes:
                raise ProtocolError(f"an answer above the limit of {self._max_bytes} bytes")
            self._left = size + 2
        return self._trailer(data[at:])

    def _take(self, data: bytes, at: int) -> int:
        """Keeps what has come of the current chunk; where the next thing begins."""
        end = min(at + self._left, len(data))
        self._parts.append(data[at : min(end, at + max(0, self._left - 2))])
        self._left -= end - at
        return end

    def _trailer(self, data: bytes) -> bytes | None:
        if data.startswith(b"\r\n"):
            return data[2:]
        end = data.find(b"\r\n\r\n")
        if end >= 0:
            return data[end + 4 :]
        if len(data) > MAX_HEAD_BYTES:
            raise ProtocolError("a trailer without end")
        self._pending = data
        return None


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    try:
        if not digits or len(digits) > 15 or digits[:1] in b"+-":
            raise ValueError
        return int(digits, 16)
    except ValueError as exc:
        raise ProtocolError(f"a chunk size of {line[:40]!r}") from exc


def _field(low: bytes, name: bytes) -> bytes:
    """The value of a header field in a lower-cased head, or nothing."""
    start = low.find(name)
    if start < 0:
        return b""
    start += len(name)
    end = low.find(b"\r\n", start)
    return low[start:] if end < 0 else low[start:end]
