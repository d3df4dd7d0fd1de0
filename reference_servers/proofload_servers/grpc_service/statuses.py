"""The core's refusals as gRPC statuses."""

from __future__ import annotations

import grpc

from proofload_servers.serving import Expired, InvalidInput, NotReady, Overloaded, Refusal
from proofload_servers.serving.refusals import Forbidden, TooMany, Unauthenticated

_CODES = (
    (InvalidInput, grpc.StatusCode.INVALID_ARGUMENT),
    (Unauthenticated, grpc.StatusCode.UNAUTHENTICATED),
    (Forbidden, grpc.StatusCode.PERMISSION_DENIED),
    (TooMany, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (NotReady, grpc.StatusCode.UNAVAILABLE),
    (Expired, grpc.StatusCode.DEADLINE_EXCEEDED),
)


def code_of(refusal: Refusal) -> grpc.StatusCode:
    for kind, code in _CODES:
        if isinstance(refusal, kind):
            return code
    return grpc.StatusCode.INTERNAL


def retry_after_s(refusal: Refusal) -> float | None:
    """When trying again makes sense; None where it does not."""
    if isinstance(refusal, Overloaded | TooMany):
        return refusal.retry_after_s
    return 1.0 if isinstance(refusal, NotReady) else None


def trailers(refusal: Refusal, request_id: str) -> tuple[tuple[str, str], ...]:
    """`grpc-retry-pushback-ms` is what gRPC's own retrying clients obey; `retry-after` is for people and proxies."""
    metadata = [("x-request-id", request_id), ("error-reason", refusal.code)]
    wait_s = retry_after_s(refusal)
    if wait_s is not None:
        metadata += [
            ("retry-after", refusal.retry_after_header or "1"),
            ("grpc-retry-pushback-ms", str(round(wait_s * 1000))),
        ]
    return tuple(metadata)
