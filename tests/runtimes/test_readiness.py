"""The instants of coming up are in order, however little lies between them."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

from proofload.clock import MonotonicClock
from proofload.runtimes._readiness import Readiness
from proofload.target_model import Target
from proofload.testing.answering import answering


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Says nothing."""


def test_a_port_bound_between_two_looks_is_noted_before_readiness() -> None:
    looks = iter([False, True])
    timeline: dict[str, int] = {}
    with answering(_Healthy) as address:
        target = Target.model_validate(
            {"name": "quick", "transport": "http", "url": f"{address}predict", "health": {"ready": "/healthz"}}
        )
        waiting = Readiness(target, MonotonicClock(), timeline, bound=lambda: next(looks))
        assert waiting.wait(60.0, lambda: None)
    assert timeline["port_bound_ns"] <= timeline["ready_ns"]
