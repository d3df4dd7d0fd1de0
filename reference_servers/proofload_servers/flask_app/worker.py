"""gunicorn's threaded worker, taught to note arrivals and to say "not ready" before it stops listening."""

from __future__ import annotations

import select
import socket
import threading
import time
from types import FrameType
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from proofload_servers.serving import Service

from . import arrival
from .app import SERVICE


class DrainingWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """SIGTERM: not ready at once, the listener closed a notice later, requests in flight finished."""

    def enqueue_req(self, conn: Any) -> None:
        conn.arrived_ns = time.monotonic_ns()
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        if not conn.initialized and not _has_data(conn.sock):
            conn.arrived_ns = None  # opened ahead of its first request, which gunicorn waits for in this thread
        return super().handle(conn)

    def handle_request(self, req: Any, conn: Any) -> bool:
        if conn.arrived_ns is not None:
            arrival.note(conn.arrived_ns)
        return bool(super().handle_request(req, conn))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        service = self.service
        if service is None or service.state == "draining":  # not yet serving, or asked twice: at once
            super().handle_exit(sig, frame)
            return
        service.begin_drain()
        threading.Timer(service.settings.drain_notice_s, super().handle_exit, (sig, frame)).start()

    @property
    def service(self) -> Service | None:
        """The service of this worker's application, None while there is no application yet."""
        application = self.wsgi
        return application.extensions[SERVICE] if application is not None else None


def _has_data(sock: socket.socket) -> bool:
    """Whether something, or its end, can be read at once."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
