"""Starts the server; exit 0 after a drain, 2 when it cannot serve."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence

from proofload_servers.serving import Settings, StartupError, add_flag, arguments
from proofload_servers.serving.listener import listen
from proofload_servers.serving.logs import configure
from proofload_servers.serving.service import check_early

CANNOT_SERVE = 2
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def main(argv: Sequence[str]) -> int:
    parser = arguments("flask_app", "Predictions over HTTP: Flask under gunicorn.")
    add_flag(parser, "--server-threads", kind=int, default=32, help="threads that read requests and wait for answers")
    namespace = parser.parse_args(argv)
    settings = Settings.of(namespace)
    if settings.workers > 1 and METRICS_FOLDER not in os.environ:
        return _with_shared_metrics(argv)
    configure(settings.log_level)
    try:
        check_early(settings)
        sock = listen(settings.host, settings.port, backlog=128)
    except StartupError as exc:
        sys.stderr.write(f"error: {exc}\n")
        return CANNOT_SERVE
    from .server import Application

    threads = max(2, namespace.server_threads)
    try:
        Application(settings, sock, threads).run()
    except SystemExit as exc:
        return CANNOT_SERVE if exc.code else 0
    return 0


def _with_shared_metrics(argv: Sequence[str]) -> int:
    """Begins again with the folder through which workers share metrics: prometheus_client looks for it at import."""
    folder = tempfile.mkdtemp(prefix="proofload-metrics-")
    os.environ[METRICS_FOLDER] = folder
    os.execv(  # noqa: S606  itself again
        sys.executable, [sys.executable, "-m", "proofload_servers.flask_app", *argv]
    )


if __name__ == "__main__":
    code = main(sys.argv[1:])
    if METRICS_FOLDER in os.environ and os.environ[METRICS_FOLDER].startswith(tempfile.gettempdir()):
        shutil.rmtree(os.environ[METRICS_FOLDER], ignore_errors=True)
    sys.exit(code)
