"""A model server small enough to see through, for conformance kits: standard library, no proofload.

    python stub_server.py PORT          (on 127.0.0.1, or on STUB_ADDRESS of the environment)

POST: doubles "value". GET /ready, /live: 200. GET /metrics: a few Prometheus series. SIGTERM ends it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

METRICS = """\
# HELP stub_requests_total Requests answered.
# TYPE stub_requests_total counter
stub_requests_total{route="a"} 3
stub_requests_total{route="b"} 4
# TYPE stub_queue_depth gauge
stub_queue_depth 2
# TYPE stub_seconds histogram
stub_seconds_bucket{le="0.1"} 5
stub_seconds_bucket{le="+Inf"} 7
stub_seconds_sum 1.5
stub_seconds_count 7
"""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        known = {"/ready": "ok", "/live": "ok", "/metrics": METRICS}
        self._answer(200 if self.path in known else 404, known.get(self.path, "").encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        self._answer(200, json.dumps({"prediction": 2 * body["value"]}).encode())

    def log_message(self, *_: object) -> None:
        """Silent: a test reads what it writes."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    sys.stderr.write("stub server starting\n")
    if os.getpid() == 1:  # the first process of a container is spared what it does not ask for
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    ThreadingHTTPServer((os.environ.get("STUB_ADDRESS", "127.0.0.1"), int(sys.argv[1])), Handler).serve_forever()
