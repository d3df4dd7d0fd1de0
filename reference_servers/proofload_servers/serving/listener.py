"""The listening socket, opened by us: a taken port is one clear message and exit 2 before any model is loaded."""

from __future__ import annotations

import os
import socket

from .refusals import StartupError

INHERITED = "PROOFLOAD_LISTEN_FD"  # set by `processes` for the workers it starts


def listen(host: str, port: int, *, backlog: int) -> socket.socket:
    """A listening TCP socket, or the one inherited from a parent. Raises StartupError.

    A short backlog is deliberate where requests would wait in it unseen by the bounded queue.
    """
    inherited = os.environ.get(INHERITED)
    if inherited:
        return socket.socket(fileno=int(inherited))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as exc:
        raise StartupError(
            f"cannot listen on {host}:{port}: {exc.strerror}; choose another --port or end what holds this one"
        ) from exc
