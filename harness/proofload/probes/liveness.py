"""How long a target's liveness page takes to answer, as an orchestrator would see it: a new connection each time.

Readings (source "liveness"), stamped with the instant the look began:

ms    until the status line and headers were there; when it gave up, how long it had waited
ok    1: it answered 2xx; 0: another status, a broken answer, or none within TIMEOUT_S

A page that is slow while the predictions are not, or slow before they are, tells of what blocks the process.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterable
from urllib.parse import urlsplit

from proofload.clock import NS_PER_MS, Clock, MonotonicClock
from proofload.probes import Subject
from proofload.records import Reading

SOURCE = "liveness"
TIMEOUT_S = 1.0
_GOOD = range(200, 300)
_HEADERS = {"Connection": "close", "Accept": "*/*", "User-Agent": "proofload"}


def create(subject: Subject) -> LivenessProbe | None:
    return LivenessProbe(subject) if subject.live_url else None


class LivenessProbe:
    """Looks at one URL. Raises ConnectionRefusedError where nobody listens."""

    interval_s = 0.25

    def __init__(self, subject: Subject, *, clock: Clock | None = None) -> None:
        self._url = subject.live_url
        self._arm = subject.arm
        self._clock = clock or MonotonicClock()

    def read(self) -> Iterable[Reading]:
        began_ns, took_ms, status = look(self._url, self._clock)
        return [
            Reading(began_ns, SOURCE, "ms", took_ms, self._arm),
            Reading(began_ns, SOURCE, "ok", float(status in _GOOD), self._arm),
        ]

    def close(self) -> None:
        """Nothing is held open."""


def look(url: str, clock: Clock) -> tuple[int, float, int | None]:
    """(instant it began, milliseconds it took, status or None). Raises ConnectionRefusedError."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _connection(parts.scheme, parts.hostname or "", parts.port)
    began_ns = clock.now_ns()
    try:
        connection.request("GET", path, headers=_HEADERS)
        status: int | None = connection.getresponse().status
    except ConnectionRefusedError:
        raise
    except (OSError, http.client.HTTPException):
        status = None
    finally:
        connection.close()
    return began_ns, (clock.now_ns() - began_ns) / NS_PER_MS, status


def _connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme != "https":
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    # Nothing is sent that could be stolen, and a server under test may sign its own certificate.
    context = ssl._create_unverified_context()  # noqa: S323
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
