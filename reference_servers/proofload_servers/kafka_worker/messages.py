"""From a Kafka message to a request of the core, and from an answer or a refusal to a reply."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proofload_servers.serving import InvalidInput, Refusal, Result, correlation_id, deadline_from_ms
from proofload_servers.serving.wire import answer_json, error_json, read_request

CORRELATION = "correlation-id"
TIMEOUT = "timeout-ms"
STATUS = "status"
NO_TIMESTAMP = 0
LONGEST_CORRELATION = 1024


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message as it was read. `correlation` goes back byte for byte; `request_id` is what is safe to log."""

    topic: str
    partition: int
    offset: int
    value: bytes
    size: int
    """Bytes of value, key and headers together."""
    correlation: bytes
    request_id: str
    timeout: str | None
    age_ns: int
    read_ns: int
    """time.monotonic_ns"""
    share: int
    """Under which of this worker's shares of the topic it was read (see assignment.py)."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    value: bytes
    headers: list[tuple[str, bytes]]


def read(message: Any, share: int = 0) -> Incoming:
    """Never raises for anything a peer may have put into a message.

    The correlation id is the header's, else the message's key, else a new one: an answer nobody can match is
    still better than a silent gap. One that is too long to be an id is not sent back whole.
    """
    given = message.headers() or ()
    headers: Mapping[str, bytes | None] = dict(given)
    correlation = (headers.get(CORRELATION) or message.key() or b"")[:LONGEST_CORRELATION]
    request_id = correlation_id(correlation.decode("utf-8", "replace"))
    timeout = headers.get(TIMEOUT)
    kind, stamp_ms = message.timestamp()
    age_ns = 0 if kind == NO_TIMESTAMP else max(0, time.time_ns() - stamp_ms * 1_000_000)
    return Incoming(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        value=message.value() or b"",
        size=sum(len(name) + len(text or b"") for name, text in given)
        + len(message.value() or b"")
        + len(message.key() or b""),
        correlation=correlation or request_id.encode("ascii"),
        request_id=request_id,
        timeout=None if timeout is None else timeout.decode("utf-8", "replace"),
        age_ns=age_ns,
        read_ns=time.monotonic_ns(),
        share=share,
    )


def request_of(incoming: Incoming, max_bytes: int) -> tuple[Mapping[str, Any], int | None]:
    """(request body, deadline). The timeout runs from the message's timestamp. Raises InvalidInput."""
    if incoming.size > max_bytes:
        raise InvalidInput(f"the record is larger than {max_bytes} bytes", code="body_too_large", status=413)
    deadline_ns = deadline_from_ms(incoming.timeout, since_ns=incoming.read_ns - incoming.age_ns)
    return read_request(incoming.value), deadline_ns


def reply_to(incoming: Incoming, result: Result) -> Reply:
    status, value = (
        (result.status, error_json(result, incoming.request_id))
        if isinstance(result, Refusal)
        else (200, answer_json(result))
    )
    headers = [(CORRELATION, incoming.correlation), (STATUS, b"%d" % status)]
    return Reply(status, value, headers)
