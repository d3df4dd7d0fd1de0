"""Who said it: the peer, or gRPC's own library on its behalf.

The library reports a dead connection with the same status codes that a peer uses to refuse, and offers
no field that tells them apart; only its own wording does. The words are those of grpcio 1.85; tests hold
each against a peer that provokes it. The transport `grpc` reads the wire and needs none of this.
"""

from __future__ import annotations

from proofload.transports import Sink
from proofload.transports._grpc import statuses

_MADE_HERE = (
    "Stream removed (",
    "failed to connect to all addresses",
    "Received http2 header with status: ",
    "Compression bit set",
    "DNS resolution failed",
    "Internal error from Core",
    "Locally cancelled by application!",
    "Deadline Exceeded",
)


def report(sink: Sink, row: int, code: int, details: str) -> None:
    """Tell the sink of a call that ended with a status other than OK."""
    if not details.startswith(_MADE_HERE):
        statuses.report_refusal(sink, row, code, details)
        return
    status = details.removeprefix("Received http2 header with status: ")
    if status != details and status.isdigit():
        statuses.report_http(sink, row, int(status), "")
    else:
        sink.failed(row, _kind(details), details)


def _kind(details: str) -> str:
    text = details.lower()
    if "connection refused" in text:
        return "refused"
    if "larger than max (" in text:
        return "too-large"
    if "handshake" in text or "certificate" in text or "ssl" in text:
        return "tls"
    if "parsing http/2" in text or "compression" in text or "end_stream" in text:
        return "protocol"
    if "dns" in text:
        return "connect"
    return "reset"
