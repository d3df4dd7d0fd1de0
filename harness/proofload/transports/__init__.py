"""How one request travels. One file per transport, found by discovery.

A transport module defines

    create(spec: TransportSpec, sink: Sink) -> Transport

and optionally `SCHEMES`, the URL schemes by which a bare `--target URL` finds it.

A transport runs inside an engine process, on its event loop, and is the hot path: `send` must not
block and should allocate little. It never measures or judges; it tells the sink what happened and
the sink stamps the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class TransportSpec:
    """All a transport may know. Plain data: it crosses to the engine process as JSON."""

    name: str
    url: str
    """Fully resolved: no placeholder left."""
    bodies: Sequence[bytes]
    """One request body per payload, as JSON text; a transport that needs another form builds it once, at `open`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    payload_headers: Sequence[Mapping[str, str]] = ()
    """What each payload brings besides `headers`; empty: none brings any. A transport that cannot send them
    raises InputError at `open`."""
    connections: int = 1024
    """Cap for this engine process; opened as needed."""
    timeout_s: float = 5.0
    max_answer_bytes: int = 16 * 1024 * 1024
    """An answer that grows beyond this ends as an error: a target that never stops must not fill the memory."""
    request: Mapping[str, Any] = field(default_factory=dict)
    """The target file's [request] table (grpc: method, proto; kafka: topic, correlation), paths absolute."""
    response: Mapping[str, Any] = field(default_factory=dict)
    """The target file's [response] table."""
    worker: int = 0


class Sink(Protocol):
    """Where a transport reports. `row` is the handle that `send` was given.

    For each `send`, exactly one of `answered`, `shed`, `failed` is to be called, at most once, unless
    the row was abandoned first. `sent` comes before it, unless nothing was ever written. Late calls
    about an abandoned row are ignored.
    """

    def sent(self, row: int) -> None:
        """The request's bytes are being written now: a connection was free."""

    def served_by(self, row: int, arm: int) -> None:
        """A router in between said which arm answers this row; to be called before the answer is reported."""

    def answered(self, row: int, status: int, body: bytes) -> None:
        """A complete successful answer (HTTP 2xx, gRPC OK, a Kafka reply) arrived now; the sink checks it."""

    def shed(self, row: int, status: int) -> None:
        """The peer itself refused on purpose, now."""

    def failed(self, row: int, kind: str, detail: str = "", status: int = -1) -> None:
        """The request failed now. `kind` is a short stable word ("refused", "reset", "http-500",
        "grpc-INTERNAL", "protocol"); `detail` an example for people."""

    def note(self, kind: str, **detail: Any) -> None:
        """Something about the client or the wire worth an event (rare; rate-limited by the sink)."""

    def tell(self, kind: str, **detail: Any) -> None:
        """An event of this kind that must not be left out. The transport itself bounds how many there are."""


class Transport(Protocol):
    """One open transport in one engine process."""

    async def open(self) -> None:
        """Get ready: build requests, connect enough to know that the target is there (Kafka: wait for
        the group's assignment). Raises TargetError or InputError; not being able to connect to a
        target that merely refuses now is a sample's error, not this method's."""

    def send(self, row: int, payload: int) -> None:
        """Send the payload with this index, now, or queue it until a connection is free."""

    def abandon(self, row: int) -> None:
        """The client gave up on this row: free what it holds (close its connection, reset its stream). The same
        row may be sent again afterwards, where clients retry."""

    def decode(self, body: bytes) -> Any:
        """The JSON form of an answer's body, for JSONPath and comparison. Raises ValueError."""

    async def close(self) -> None:
        """Close all connections. Idempotent."""
