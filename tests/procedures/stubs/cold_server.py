"""A small model server that comes up as it is told to: honestly, or in one of the ways that hurt the first users.

--load S            it takes S seconds before it can answer
--says-ready        /ready is 200 from the first moment on
--meanwhile HOW     what a request gets before it can answer: 503, 500, wrong (an answer), wait
--lazy S            each process loads for S seconds with its first request, holding what --ballast-mib says
--unwarmed N:MS     the first N computations of each process take MS milliseconds more
--workers N         processes that share the port
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any


class Model:
    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.loaded = threading.Event()
        self.lock = threading.Lock()
        self.lazy_done = not asked.lazy
        self.computed = 0
        self.ballast = b""
        threading.Thread(target=self._load, daemon=True).start()

    def _load(self) -> None:
        time.sleep(self.asked.load)
        self.loaded.set()

    def predict(self, x: float) -> float:
        with self.lock:
            if not self.lazy_done:
                time.sleep(self.asked.lazy)
                self.ballast = os.urandom(self.asked.ballast_mib * 2**20)
                self.lazy_done = True
            count, extra_ms = self.asked.unwarmed
            self.computed += 1
            if self.computed <= count:
                time.sleep(extra_ms / 1000)
        return 2.0 * x


def handler(model: Model) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            ready = model.asked.says_ready or model.loaded.is_set()
            self._answer(200 if self.path == "/live" or ready else 503, {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if not model.loaded.is_set():
                if model.asked.meanwhile in {"503", "500"}:
                    self._answer(int(model.asked.meanwhile), {"error": "loading"})
                    return
                if model.asked.meanwhile == "wrong":
                    self._answer(200, {"prediction": -1.0})
                    return
                model.loaded.wait()
            self._answer(200, {"prediction": model.predict(body["x"])})

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            text = json.dumps(content).encode()
            head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
            self.wfile.write(head.encode() + text)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
            """Nothing."""

    return Handler


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """The socket is bound already."""


def serve(asked: argparse.Namespace, listener: socket.socket) -> None:
    server = Server(("127.0.0.1", asked.port), handler(Model(asked)), bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.serve_forever(0.05)


def pair(text: str) -> tuple[int, float]:
    count, _, extra = text.partition(":")
    return int(count), float(extra)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--load", type=float, default=0.0)
    parser.add_argument("--says-ready", action="store_true")
    parser.add_argument("--meanwhile", choices=("503", "500", "wrong", "wait"), default="503")
    parser.add_argument("--lazy", type=float, default=0.0)
    parser.add_argument("--ballast-mib", type=int, default=0)
    parser.add_argument("--unwarmed", type=pair, default=(0, 0.0))
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", asked.port), backlog=128)
    for _ in range(asked.workers - 1):
        if not os.fork():
            break
    serve(asked, listener)


if __name__ == "__main__":
    main()
