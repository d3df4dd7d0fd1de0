"""How a gevent user sends one request and waits for its answer. One file per transport.

    create(spec: TransportSpec) -> Calls

These run in the Locust process, whose sockets, sleeps and locks give way to other users while they wait. What they
send and how they read answers is the transports' own code; only the waiting is different.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

from proofload.errors import InputError
from proofload.transports import Sink, TransportSpec

_FILES = {"http": "http", "grpc": "grpc", "grpc-aio": "grpc", "kafka": "kafka"}


class Ask(Protocol):
    """One user's way to the target."""

    def __call__(self, payload: int, patience_s: float, sink: Sink) -> None:
        """Send it, wait, tell the sink (row 0). Raises TimeoutError when the answer does not come in time."""


class Calls(Protocol):
    """All users' way to one target."""

    def open(self) -> None:
        """Raises InputError, TargetError."""

    def user(self) -> Ask: ...

    def decode(self, body: bytes) -> Any: ...

    def close(self) -> None: ...


def calls_for(spec: TransportSpec) -> Calls:
    """Raises InputError for a transport that gevent users do not speak."""
    if spec.name not in _FILES:
        raise InputError(
            f"gevent users do not speak {spec.name}",
            evidence=f"they speak {', '.join(_FILES)}",
            remedy="let the engine send, or use one of those",
        )
    calls: Calls = import_module(f"{__name__}.{_FILES[spec.name]}").create(spec)
    return calls
