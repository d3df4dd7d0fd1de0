"""What a request brings along besides its body: who asked, and until when the answer is of use."""

from __future__ import annotations

import math
import re
import time
import uuid

from .refusals import InvalidInput

LONGEST_ID = 128
_SAFE = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._:\-]")
LONGEST_TIMEOUT_MS = 86_400_000.0


def correlation_id(given: str | None) -> str:
    """The caller's id where it is safe to log and to echo, else what is left of it, else a new one.

    Letters, digits and `._:-`, at most 128 of them: no line break can forge a log line or a header.
    """
    if given:
        if _SAFE.fullmatch(given):
            return given
        kept = _UNSAFE.sub("", given[: 2 * LONGEST_ID])[:LONGEST_ID]
        if kept:
            return kept
    return uuid.uuid4().hex


def deadline_from_ms(timeout_ms: str | float | None, *, since_ns: int | None = None) -> int | None:
    """The absolute deadline (time.monotonic_ns) of a timeout in milliseconds; None means without limit.

    `since_ns` is when the timeout began to run, by default now. Text that is not a non-negative number is InvalidInput.
    """
    if timeout_ms is None:
        return None
    try:
        value = float(timeout_ms)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= LONGEST_TIMEOUT_MS:
        raise InvalidInput("the timeout must be milliseconds between 0 and 86400000", code="invalid_timeout")
    return (time.monotonic_ns() if since_ns is None else since_ns) + int(value * 1e6)
