"""When a request came to the Flask server: that instant bounds how long it may have to wait."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.workers.gthread import ThreadWorker

from proofload_servers.flask_app import arrival
from proofload_servers.flask_app.worker import DrainingWorker


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, peers = socket.socketpair()
    yield ours, peers
    ours.close()
    peers.close()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> DrainingWorker:
    """Of its base, only the way a request takes."""

    def handle(self: ThreadWorker, conn: Any) -> Any:
        conn.sock.recv(1)
        return self.handle_request(None, conn)

    monkeypatch.setattr(ThreadWorker, "handle", handle)
    monkeypatch.setattr(ThreadWorker, "handle_request", lambda _worker, _req, _conn: True)
    made: DrainingWorker = DrainingWorker.__new__(DrainingWorker)
    return made


def accepted(sock: socket.socket, *, initialized: bool = False) -> SimpleNamespace:
    """A connection that has waited for a thread since long ago."""
    return SimpleNamespace(sock=sock, initialized=initialized, arrived_ns=1)


@pytest.mark.parametrize("initialized", [False, True])
def test_a_request_that_waited_for_a_thread_came_when_its_connection_was_ready(
    worker: DrainingWorker, ends: tuple[socket.socket, socket.socket], *, initialized: bool
) -> None:
    ours, peers = ends
    peers.send(b"G")
    assert worker.handle(accepted(ours, initialized=initialized))
    assert arrival.of_request() == 1


def test_the_first_request_of_a_connection_opened_ahead_of_it_came_when_it_was_sent(
    worker: DrainingWorker, ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, peers = ends
    sent_ns = time.monotonic_ns()

    def handle(self: ThreadWorker, conn: Any) -> Any:
        peers.send(b"G")
        return self.handle_request(None, conn)

    monkeypatch.setattr(ThreadWorker, "handle", handle)
    assert worker.handle(accepted(ours))
    assert arrival.of_request() >= sent_ns
