"""gunicorn's logger, reduced to handing its lines to the process's own JSON handler."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger


class QuietLogger(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """Error lines propagate to the root logger; the access log is ours, not gunicorn's."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self.error_log.handlers[:] = []
        self.error_log.propagate = True
        self.access_log.handlers[:] = []
        self.access_log.propagate = False

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Says nothing: the application logs requests, with their ids."""
