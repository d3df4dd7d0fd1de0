"""Starts the server; exit 0 after a drain, 2 when it cannot serve."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from proofload_servers.serving import Service, Settings, StartupError, arguments
from proofload_servers.serving.listener import listen
from proofload_servers.serving.logs import configure
from proofload_servers.serving.processes import CANNOT_SERVE, run_workers
from proofload_servers.serving.service import check

BACKLOG = 512


def main(argv: Sequence[str]) -> int:
    settings = Settings.of(arguments("fastapi_app", "Predictions over HTTP: FastAPI under uvicorn.").parse_args(argv))
    configure(settings.log_level)
    try:
        check(settings)
        sock = listen(settings.host, settings.port, backlog=BACKLOG)
        if settings.workers > 1:
            return run_workers("proofload_servers.fastapi_app", argv, settings.workers, sock, drain_s=settings.drain_s)
        from .server import serve

        service = Service.start(settings)
        serve(service, sock)
        if service.state == "failed":
            service.wait_ready()
    except StartupError as exc:
        sys.stderr.write(f"error: {exc}\n")
        return CANNOT_SERVE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
