"""gRPC status codes, and what a sink is told of each."""

from __future__ import annotations

from proofload.transports import Sink

OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND = range(6)
RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 8, 12, 13, 14

NAMES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip

SHEDDING = (RESOURCE_EXHAUSTED, UNAVAILABLE)
"""Refusals on purpose, when the peer itself sends them."""
SHEDDING_HTTP = (429, 503)
"""The same from a proxy that answers in HTTP's terms."""

PATIENCE_MARGIN_S = 0.05
"""Clocks of two ends and timers differ: an expiry this close to the deadline is that deadline's."""


def name(code: int) -> str:
    return NAMES[code] if 0 <= code < len(NAMES) else f"CODE-{code}"


def report_refusal(sink: Sink, row: int, code: int, message: str) -> None:
    """Tell the sink of a status other than OK that the peer sent."""
    if code in SHEDDING:
        sink.shed(row, code)
    else:
        sink.failed(row, f"grpc-{name(code)}", message, code)


def report_http(sink: Sink, row: int, status: int, content_type: str) -> None:
    """Tell the sink of an answer without a gRPC status: a proxy's, or a server's that speaks no gRPC."""
    if status in SHEDDING_HTTP:
        sink.shed(row, status)
    elif status == 200:
        detail = f"the answer carries no grpc-status (content-type {content_type or 'absent'!r})"
        sink.failed(row, "protocol", detail)
    else:
        sink.failed(row, f"http-{status}", f"content-type {content_type or 'absent'!r}, no grpc-status", status)
