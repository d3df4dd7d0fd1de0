"""JSON log lines on standard output, one object a line, from this code and from the libraries alike."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson

FIELDS = ("request_id", "request_ids", "route", "status", "duration_ms", "model", "version", "device", "event", "port")
ACCESS = logging.getLogger("proofload_servers.access")


class JsonFormatter(logging.Formatter):
    """Time in UTC, level, logger, message, the known extra members, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: record.__dict__[name] for name in FIELDS if name in record.__dict__}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def configure(level: str) -> None:
    """Sends every logger of the process through one JSON handler on standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def access(route: str, status: int, seconds: float, request_id: str) -> None:
    """One line about one request; called only when the access log is on."""
    ACCESS.info(
        "request",
        extra={"route": route, "status": status, "duration_ms": round(seconds * 1e3, 3), "request_id": request_id},
    )
