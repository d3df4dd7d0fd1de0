"""What the three probes and the metrics page answer, for any HTTP front end and for the side port."""

from __future__ import annotations

from .metrics import CONTENT_TYPE
from .service import Service
from .wire import json_bytes

JSON = "application/json"
GUARDED = {"/model/info"}
"""What only callers with credentials are told. Probes carry none, and get one word; metrics are numbers about all."""
PATHS = ("/health/live", "/health/ready", "/health/startup", "/model/info", "/metrics")


def respond(service: Service, path: str) -> tuple[int, str, bytes] | None:
    """(status, content type, body) for one of PATHS, else None. Not ready is 503, as probes expect."""
    match path:
        case "/health/live":
            return _probe(service.live, service.state)
        case "/health/ready":
            return _probe(service.ready, service.state)
        case "/health/startup":
            return _probe(service.started, service.state)
        case "/model/info":
            return 200, JSON, json_bytes(service.info())
        case "/metrics":
            return 200, CONTENT_TYPE, service.metrics.render()
        case _:
            return None


def is_guarded(service: Service, path: str) -> bool:
    """Whether who asks for it has to be admitted first (`service.guard`). Probes never are, and count for no limit."""
    if service.guard is None or not service.guard.needs_credentials:
        return False
    return path in GUARDED or (path == "/metrics" and service.settings.guard_metrics)


def _probe(good: bool, state: str) -> tuple[int, str, bytes]:  # noqa: FBT001  a probe's answer is one bit
    return (200 if good else 503), JSON, json_bytes({"status": state})
