"""Starts the server; exit 0 after a drain, 2 when it cannot serve."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence

from proofload_servers.serving import Settings, StartupError, arguments
from proofload_servers.serving.listener import INHERITED
from proofload_servers.serving.logs import configure
from proofload_servers.serving.processes import CANNOT_SERVE, run_workers
from proofload_servers.serving.service import check_early


def main(argv: Sequence[str]) -> int:
    settings = Settings.of(arguments("grpc_service", "Predictions over gRPC.").parse_args(argv))
    configure(settings.log_level)
    try:
        check_early(settings)
        if settings.workers > 1:
            with _reserved(settings.host, settings.port) as sock:
                port = sock.getsockname()[1]
                return run_workers(
                    "proofload_servers.grpc_service",
                    [*argv, "--port", str(port)],
                    settings.workers,
                    sock,
                    drain_s=settings.drain_s,
                )
        from .server import serve

        serve(settings, shared_port=INHERITED in os.environ)
    except StartupError as exc:
        sys.stderr.write(f"error: {exc}\n")
        return CANNOT_SERVE
    return 0


def _reserved(host: str, port: int) -> socket.socket:
    """The port, bound and not listened on: gRPC's core makes its own sockets, which the kernel lets share the port.

    Without it, a port taken by another program would be found only by the workers, one by one.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))  # without sharing: refused when anybody is there
        port = sock.getsockname()[1]
        sock.close()
        sock = socket.socket(sock.family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
    except OSError as exc:
        sock.close()
        raise StartupError(
            f"cannot listen on {host}:{port}: {exc.strerror}; choose another --port or end what holds this one"
        ) from exc
    return sock


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
