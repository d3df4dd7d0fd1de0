"""Every way in which the core says no, each with the status that HTTP, gRPC and Kafka front ends translate.

Refusal                 code, message: both are safe to show to a caller, no exception text ever enters them
├── InvalidInput    400 the request itself is wrong (413 when it is too large)
├── Unauthenticated 401 no valid credentials; it never says what is wrong with them
├── Forbidden       403 valid credentials, which do not permit this
├── TooMany         429 this client asks more often than it may; carries retry_after_s
├── Overloaded      503 shed on purpose before any work was done; carries retry_after_s
├── NotReady        503 still warming up, or draining
├── Expired         504 its deadline passed before its computation began, which was therefore not begun
└── Failed          500 the model could not compute; the reason is in the log under the request id
"""

from __future__ import annotations

import math


class Refusal(Exception):  # noqa: N818  these are answers to a caller, most of them are not errors
    """An answer other than a prediction. `code` is stable and for machines; `message` is for people."""

    status = 500
    code = "failed"

    def __init__(self, message: str, *, code: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status

    @property
    def retry_after_header(self) -> str | None:
        """Whole seconds for the HTTP header Retry-After, or None when the caller has no reason to try again."""
        return None

    @property
    def headers(self) -> dict[str, str]:
        """What goes with the status over HTTP."""
        retry = self.retry_after_header
        return {} if retry is None else {"Retry-After": retry}


class InvalidInput(Refusal):
    """The request is malformed; sending it again will not help."""

    status = 400
    code = "invalid_input"


class Unauthenticated(Refusal):
    """Missing, malformed, unknown, expired, signed otherwise: all the same to a caller."""

    status = 401
    code = "unauthenticated"

    def __init__(self, message: str = "valid credentials are needed") -> None:
        super().__init__(message)

    @property
    def headers(self) -> dict[str, str]:
        """A 401 names a scheme (RFC 9110, 11.6.1); the name says nothing of what was missing."""
        return {"WWW-Authenticate": "Bearer"}


class Forbidden(Refusal):
    """Who asks is known, and may not."""

    status = 403
    code = "forbidden"

    def __init__(self, message: str = "these credentials do not permit this") -> None:
        super().__init__(message)


class TooMany(Refusal):
    """One client's limit is reached; others are served."""

    status = 429
    code = "rate_limited"

    def __init__(self, message: str = "too many requests", *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    @property
    def retry_after_header(self) -> str:
        return str(max(1, math.ceil(self.retry_after_s)))


class Overloaded(Refusal):
    """The queue is full, by count or by waiting time. `retry_after_s` comes from the measured service rate."""

    status = 503
    code = "overloaded"

    def __init__(self, message: str = "the server is at its limit", *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    @property
    def retry_after_header(self) -> str:
        return str(max(1, math.ceil(self.retry_after_s)))


class NotReady(Refusal):
    """The model is not warm yet, or the server is going away."""

    status = 503
    code = "not_ready"

    @property
    def retry_after_header(self) -> str:
        return "1"


class Expired(Refusal):
    """The caller's deadline passed while the request waited."""

    status = 504
    code = "deadline_exceeded"

    def __init__(self, message: str = "the deadline passed before the computation began") -> None:
        super().__init__(message)


class Failed(Refusal):
    """Something broke on this side."""

    def __init__(self, message: str = "the prediction could not be computed") -> None:
        super().__init__(message)


class StartupError(Exception):
    """The server cannot serve with these settings: a missing model, provider or file. Programs exit with 2."""
