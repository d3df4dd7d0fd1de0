"""A server that doubles, payloads for it, and a run folder that can be judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from proofload.testing.answering import answering


class Doubling(BaseHTTPRequestHandler):
    """Answers {"n": i} with the prediction 2·i."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        n = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["n"]
        body = json.dumps({"prediction": 2 * n}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with answering(Doubling) as address:
        yield address


@pytest.fixture
def payloads(tmp_path: Path) -> str:
    path = tmp_path / "payloads.jsonl"
    path.write_text("\n".join(json.dumps({"body": {"n": n}, "expect": 2 * n}) for n in range(20)), encoding="utf-8")
    return str(path)
