"""What a TransportSpec says to a gRPC client: where to connect, what every request carries."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

from proofload.errors import InputError
from proofload.transports import TransportSpec
from proofload.transports._grpc.headers import encode_block, metadata_value
from proofload.transports._grpc.pool import Address

SCHEMES = ("grpc", "grpcs")
_PORTS = {"grpc": 80, "grpcs": 443}
_OURS = {"te", "content-type", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "host", "connection"}


def address_of(spec: TransportSpec) -> Address:
    """Raises InputError for a URL that is not grpc://host:port or grpcs://host:port."""
    try:
        parts = urlsplit(spec.url)
        port = parts.port
    except ValueError as exc:
        raise InputError(f"{spec.url!r} is not a URL", evidence=str(exc)) from exc
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise InputError(f"{spec.url!r} is not a gRPC URL", remedy='write for example "grpc://127.0.0.1:50051"')
    if parts.path not in ("", "/"):
        raise InputError(
            f"the gRPC URL {spec.url!r} has a path",
            remedy="name the method in [request] method, and keep the URL to host and port",
        )
    return Address(parts.hostname, port or _PORTS[parts.scheme], _tls() if parts.scheme == "grpcs" else None)


def _tls() -> ssl.SSLContext:
    """The system's authorities, or those in the file that SSL_CERT_FILE names."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2"])
    return context


def metadata_of(spec: TransportSpec) -> list[tuple[str, str]]:
    """The target's headers as gRPC metadata: lower-case names. Raises InputError for names that are ours."""
    pairs = []
    for name, value in spec.headers.items():
        lower = name.lower()
        if lower in _OURS or lower.startswith((":", "grpc-")):
            raise InputError(f"the header {name!r} is part of gRPC itself", remedy="remove it from request.headers")
        if not lower.isascii() or not value.isascii() or not value.isprintable():
            raise InputError(
                f"the header {name!r} cannot be gRPC metadata", cause="names and values are printable ASCII"
            )
        pairs.append((lower, metadata_value(lower, value)))
    return pairs


def header_block(spec: TransportSpec, address: Address) -> Callable[[str], bytes]:
    """A function that makes the header block for a path; a grpc-timeout may be appended to its result."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    default = _PORTS["grpcs" if address.tls else "grpc"]
    metadata = metadata_of(spec)

    def block(path: str) -> bytes:
        return encode_block(
            [
                (":method", "POST"),
                (":scheme", "https" if address.tls else "http"),
                (":path", path),
                (":authority", host if address.port == default else f"{host}:{address.port}"),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                ("user-agent", "proofload"),
                ("grpc-accept-encoding", "identity"),
                *((name, value) for name, value in metadata if name != "user-agent"),
            ]
        )

    return block


def patience_of(spec: TransportSpec) -> float | None:
    """How long the server may take, sent with each unary call unless request.deadline is false.

    A server that knows it can drop what nobody waits for any more.
    """
    return spec.timeout_s if spec.request.get("deadline", True) else None
