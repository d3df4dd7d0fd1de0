"""When the request of this thread was handed to the thread pool: its wait there counts.

gunicorn's pool has a queue of its own in front of the application. A deadline, a bound on waiting or a queue time that
began only when a thread picked the request up would miss the very waiting that overload causes.
"""

from __future__ import annotations

import threading
import time

_THREAD = threading.local()


def note(instant_ns: int) -> None:
    """Called by the worker on the thread that is about to run the application."""
    _THREAD.instant_ns = instant_ns


def of_request() -> int:
    """time.monotonic_ns() of the arrival; now where no worker noted one (the test client). Each note serves once."""
    instant_ns: int | None = getattr(_THREAD, "instant_ns", None)
    _THREAD.instant_ns = None
    return time.monotonic_ns() if instant_ns is None else instant_ns
