"""How long a liveness page takes, seen from outside."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from proofload.clock import MonotonicClock
from proofload.probes import Subject
from proofload.probes.liveness import TIMEOUT_S, LivenessProbe, create, look
from proofload.testing.answering import answering


@contextmanager
def page(status: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not now."""

    with answering(Handler) as address:
        yield f"{address}live?deep=1"


@pytest.mark.parametrize(("status", "ok"), [(200, 1.0), (204, 1.0), (404, 0.0), (503, 0.0)])
def test_only_2xx_is_alive(status: int, ok: float) -> None:
    with page(status) as url:
        values = {reading.name: reading.value for reading in LivenessProbe(Subject(0, live_url=url)).read()}
    assert values["ok"] == ok
    assert 0 < values["ms"] < TIMEOUT_S * 1000


def test_a_page_that_never_answers_took_as_long_as_was_waited() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _, took_ms, status = look(f"http://127.0.0.1:{silent.getsockname()[1]}/live", MonotonicClock())
    assert status is None
    assert took_ms >= TIMEOUT_S * 1000


def test_where_nobody_listens_there_is_no_reading() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    probe = LivenessProbe(Subject(0, live_url=f"http://127.0.0.1:{port}/live"))
    with pytest.raises(ConnectionRefusedError):
        list(probe.read())


def test_a_target_without_such_a_page_is_not_looked_at() -> None:
    assert create(Subject(0, pids=(1,))) is None
