"""The answer parser: the same answer whatever the pieces it comes in; garbage is named, never believed."""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proofload.errors import InputError
from proofload.transports._http1 import MAX_INTERIMS, Answer, AnswerParser, ProtocolError, _Chunks, build_requests

ANSWERS: dict[str, tuple[bytes, Answer]] = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Answer(200, b"hello", reusable=True)),
    "empty": (b"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", Answer(200, b"", reusable=True)),
    "no reason": (b"HTTP/1.1 503\r\nContent-Length: 2\r\n\r\nno", Answer(503, b"no", reusable=True)),
    "close": (b"HTTP/1.1 429 x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", Answer(429, b"x", reusable=False)),
    "old": (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", Answer(200, b"x", reusable=False)),
    "old kept": (
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx",
        Answer(200, b"x", reusable=True),
    ),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
        Answer(200, b"abc0123456789", reusable=True),
    ),
    "trailer": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\nZ: w\r\n\r\n",
        Answer(200, b"a", reusable=True),
    ),
    "interim": (
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
        ),
        Answer(200, b"x", reusable=True),
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", Answer(204, b"", reusable=True)),
    "look-alike": (
        b"HTTP/1.1 200 OK\r\nX-Content-Length: 99\r\nContent-Length: 1\r\n\r\nx",
        Answer(200, b"x", reusable=True),
    ),
}


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_an_answer_in_one_piece(name: str) -> None:
    raw, expected = ANSWERS[name]
    assert AnswerParser(1000).feed(raw) == expected


REUSABLE = sorted(name for name, (_, answer) in ANSWERS.items() if answer.reusable)


@given(order=st.lists(st.sampled_from(REUSABLE), min_size=2, max_size=8))
def test_what_came_before_on_the_connection_changes_no_answer(order: list[str]) -> None:
    parser = AnswerParser(1000)
    for name in order:
        raw, expected = ANSWERS[name]
        assert parser.feed(raw) == expected


def test_the_same_head_again_may_bring_another_body_and_a_cut_one_is_waited_for() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    parser = AnswerParser(1000)
    assert parser.feed(head + b"hello") == Answer(200, b"hello", reusable=True)
    assert parser.feed(head + b"world") == Answer(200, b"world", reusable=True)
    assert parser.feed(head + b"cu") is None
    assert parser.feed(b"t..") == Answer(200, b"cut..", reusable=True)
    with pytest.raises(ProtocolError, match="more than the answer"):
        parser.feed(head + b"hello!")


@pytest.mark.parametrize("name", sorted(ANSWERS))
@given(data=st.data())
def test_an_answer_is_the_same_in_any_pieces(name: str, data: st.DataObject) -> None:
    raw, expected = ANSWERS[name]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=12)))
    parser = AnswerParser(1000)
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    answers = [parser.feed(piece) for piece in pieces]
    assert answers[-1] == expected
    assert not any(answers[:-1])


def test_one_connection_carries_answer_after_answer() -> None:
    parser = AnswerParser(1000)
    for name in ("length", "chunked", "no content", "interim", "empty", "length"):
        raw, expected = ANSWERS[name]
        assert parser.feed(raw[:9]) is None
        assert parser.started
        assert parser.feed(raw[9:]) == expected
        assert not parser.started


def test_a_body_may_end_with_the_connection() -> None:
    parser = AnswerParser(1000)
    assert parser.feed(b"HTTP/1.1 200 OK\r\n\r\nhel") is None
    assert parser.feed(b"lo") is None
    assert parser.closed() == Answer(200, b"hello", reusable=False)


def test_a_connection_that_closes_in_mid_answer_gives_none() -> None:
    parser = AnswerParser(1000)
    assert parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel") is None
    assert parser.closed() is None


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 70_000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 2000,
    ],
)
def test_what_is_no_answer_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        AnswerParser(1000).feed(raw)


def test_requests_are_complete_and_counted() -> None:
    url = urlsplit("http://user:secret@127.0.0.1:80/v1/score?x=1")
    [request] = build_requests(url, "POST", {"content-type": "text/x", "X-Key": "k"}, (b'{"a":1}',))
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/score?x=1 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n")
    assert b"secret" not in request
    assert head.lower().count(b"content-type") == 1
    assert b"Content-Length: 7" in head
    assert body == b'{"a":1}'


@pytest.mark.parametrize("headers", [{"X": "a\r\nY: b"}, {"X Y": "a"}, {"": "a"}, {"X": "\0"}])
def test_a_header_that_would_break_the_request_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(InputError):
        build_requests(urlsplit("http://h/"), "POST", headers, (b"",))


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(("before", "last"), [(0, CONTINUE * 5000), (MAX_INTERIMS, CONTINUE)])
def test_a_flood_of_interim_answers_is_refused(before: int, last: bytes) -> None:
    parser = AnswerParser(1000)
    assert not any(parser.feed(CONTINUE) for _ in range(before))
    with pytest.raises(ProtocolError, match="interim"):
        parser.feed(last)


def test_interim_answers_are_counted_anew_for_each_answer() -> None:
    parser = AnswerParser(1000)
    raw, expected = ANSWERS["length"]
    for ready_made in (CONTINUE * MAX_INTERIMS + raw, raw, CONTINUE * MAX_INTERIMS + raw):
        assert parser.feed(ready_made) == expected
    for _ in range(3):  # the real answer alone in its piece, as the one before it to the byte
        assert parser.feed(CONTINUE * (MAX_INTERIMS - 1)) is None
        assert parser.feed(raw) == expected


class Counted(bytes):
    """Bytes that count how many of them are copied by slicing."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        piece = super().__getitem__(key)
        if isinstance(key, slice):
            Counted.copied += len(piece)
        return piece if isinstance(piece, int) else Counted(piece)


def test_thousands_of_tiny_chunks_in_one_read_are_not_copied_for_each_of_them() -> None:
    body = Counted(b"1\r\na\r\n" * 5000 + b"0\r\n\r\n")
    chunks = _Chunks(10_000)
    Counted.copied = 0
    assert chunks.feed(body) == b""
    assert chunks.body() == b"a" * 5000
    assert Counted.copied <= len(body)


@given(data=st.data(), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_chunks_of_any_size_in_any_pieces_make_the_same_body(data: st.DataObject, sizes: list[int]) -> None:
    contents = [bytes([65 + number % 26]) * size for number, size in enumerate(sizes)]
    raw = b"".join(b"%x\r\n%b\r\n" % (len(content), content) for content in contents) + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=20)))
    chunks = _Chunks(10_000)
    rests = [chunks.feed(raw[start:end]) for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert rests == [None] * len(cuts) + [b""]
    assert chunks.body() == b"".join(contents)


def head_of(url: str, headers: dict[str, str] | None = None) -> bytes:
    [request] = build_requests(urlsplit(url), "POST", headers or {}, (b"{}",))
    return request.partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("/a b?x=é", "/a%20b?x=%C3%A9"),
        ("/a%20b?x=%c3%A9", "/a%20b?x=%c3%A9"),
        ("/100%?q=50%+off%zz", "/100%25?q=50%25+off%25zz"),
        ("/v1/models/m:predict;v=1,2", "/v1/models/m:predict;v=1,2"),
        ("/p?a=1&b[]=2&c=x/y?z@w+v~u", "/p?a=1&b[]=2&c=x/y?z@w+v~u"),
        ('/"<>\\^`{|}', "/%22%3C%3E%5C%5E%60%7B%7C%7D"),
        ("/p#part", "/p"),
    ],
)
def test_what_a_url_may_not_hold_is_encoded_and_the_rest_left_as_it_is(written: str, sent: str) -> None:
    assert head_of(f"http://h{written}").splitlines()[0] == f"POST {sent} HTTP/1.1".encode()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_request_line_has_two_spaces_and_only_visible_characters(text: str) -> None:
    line, *_ = head_of(f"http://h/{text}").split(b"\r\n")
    assert line.count(b" ") == 2
    assert all(32 <= byte < 127 for byte in line)


@pytest.mark.parametrize(
    ("userinfo", "credentials"), [("me:pass", b"me:pass"), ("m%40e:p%3As", b"m@e:p:s"), ("me", b"me:"), (":p", b":p")]
)
def test_a_user_in_the_url_becomes_basic_credentials(userinfo: str, credentials: bytes) -> None:
    assert b"\r\nAuthorization: Basic " + b64encode(credentials) + b"\r\n" in head_of(f"http://{userinfo}@h/") + b"\r\n"


def test_credentials_of_ones_own_come_before_those_of_the_url() -> None:
    head = head_of("http://me:pass@h/", {"authorization": "Bearer t"})
    assert head.lower().count(b"authorization") == 1
    assert b"authorization: Bearer t" in head
    assert b"uthorization" not in head_of("http://h/")
