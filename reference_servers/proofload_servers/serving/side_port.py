"""Health, model info and metrics over plain HTTP, on a thread beside a server whose main port speaks no HTTP."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import health
from .correlation import correlation_id
from .refusals import Refusal, StartupError
from .service import Service
from .wire import error_json


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A prober that hung up is not news; nothing else can go wrong here that health would not show."""


class SidePort:
    """`port` is the one that was bound, also when 0 was asked for. Raises StartupError when it is taken."""

    def __init__(self, service: Service, host: str, port: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30.0

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                headers: Mapping[str, str] = {}
                try:
                    if service.guard is not None and health.is_guarded(service, path):
                        authorization, api_key = self.headers.get("Authorization"), self.headers.get("X-Api-Key")
                        service.guard.admit(authorization, api_key, self.client_address[0])
                    answer = health.respond(service, path)
                except Refusal as refusal:
                    headers = refusal.headers
                    answer = refusal.status, health.JSON, error_json(refusal, correlation_id(None))
                status, kind, body = answer or (404, "text/plain", b"not found\n")
                self.send_response(status)
                self.send_header("Content-Type", kind)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  probes are not news
                pass

        try:
            self._server = _Quiet((host, port), Handler)
        except OSError as exc:
            raise StartupError(f"the metrics port {host}:{port} cannot be opened: {exc.strerror}") from exc
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="side-port", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=2.0)
