"""gunicorn as a library: one process holding one model by default.

Requests wait in three places: the kernel's listen backlog, gunicorn's thread pool, our queue. The backlog is unseen, so
it is short. The pool's queue is not bounded by count, but what a request waited there counts against the longest wait
(`arrival`), so an overloaded server refuses it as soon as a thread looks at it.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from typing import Any, NoReturn

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from proofload_servers.serving import Service, Settings, StartupError

from .app import create_app
from .worker import DrainingWorker

BACKLOG = 128
CONNECTIONS = 1000
KEEP_ALIVE_S = (
    75  # longer than the 60 s of common balancers: they close first, and no request meets a closing connection
)


class Application(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    """The model is loaded in each worker, after the fork: ONNX Runtime's threads do not survive one."""

    def __init__(self, settings: Settings, sock: socket.socket, threads: int) -> None:
        self._settings = settings
        self._sock = sock
        self._threads = threads
        super().__init__()

    def load_config(self) -> None:
        settings = self._settings
        for name, value in {
            "bind": f"fd://{self._sock.fileno()}",
            "backlog": BACKLOG,
            "workers": settings.workers,
            "worker_class": DrainingWorker,
            "threads": self._threads,
            "worker_connections": CONNECTIONS,
            "keepalive": KEEP_ALIVE_S,
            "timeout": 0,  # a heavy model is not a hung worker; health and deadlines tell the difference
            "graceful_timeout": max(1, round(settings.drain_s)),
            "control_socket_disable": True,
            "proc_name": "proofload-flask",
            "logger_class": "proofload_servers.flask_app.quiet.QuietLogger",
            "worker_exit": _drain,
            "child_exit": _forget,
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        try:
            service = Service.start(self._settings)
        except StartupError as exc:
            _end(exc)
        threading.Thread(target=_end_when_it_fails, args=(service,), name="load-watch", daemon=True).start()
        return create_app(service)


def _end_when_it_fails(service: Service) -> None:
    try:
        service.wait_ready()
    except StartupError as exc:
        _end(exc)


def _end(reason: StartupError) -> NoReturn:
    """Ends the whole server by the one exit code that gunicorn does not answer by starting the worker again."""
    sys.stderr.write(f"error: {reason}\n")
    sys.stderr.flush()
    logging.shutdown()
    os._exit(Arbiter.WORKER_BOOT_ERROR)


def _drain(_arbiter: Any, worker: DrainingWorker) -> None:
    if worker.service is not None:
        worker.service.drain(worker.service.settings.drain_s)


def _forget(_arbiter: Any, worker: Any) -> None:
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
