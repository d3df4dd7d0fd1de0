"""The instants of coming up are in order, however little lies between them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from proofload.clock import MonotonicClock
from proofload.runtimes._readiness import Readiness
from proofload.target_model import Target


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Says nothing."""


@pytest.fixture
def healthy_port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_a_port_bound_between_two_looks_is_noted_before_readiness(healthy_port: int) -> None:
    looks = iter([False, True])
    timeline: dict[str, int] = {}
    target = Target.model_validate(
        {
            "name": "quick",
            "transport": "http",
            "url": f"http://127.0.0.1:{healthy_port}/predict",
            "health": {"ready": "/healthz"},
        }
    )
    waiting = Readiness(target, MonotonicClock(), timeline, bound=lambda: next(looks))
    assert waiting.wait(60.0, lambda: None)
    assert timeline["port_bound_ns"] <= timeline["ready_ns"]
