"""HTTP/2 frames (RFC 9113): numbers, layouts, builders."""

from __future__ import annotations

from struct import Struct

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

SETTINGS_HEADER_TABLE_SIZE = 1
SETTINGS_ENABLE_PUSH = 2
SETTINGS_MAX_CONCURRENT_STREAMS = 3
SETTINGS_INITIAL_WINDOW_SIZE = 4
SETTINGS_MAX_FRAME_SIZE = 5

NO_ERROR = 0x0
PROTOCOL_ERROR = 0x1
FLOW_CONTROL_ERROR = 0x3
FRAME_SIZE_ERROR = 0x6
REFUSED_STREAM = 0x7
CANCEL = 0x8
COMPRESSION_ERROR = 0x9
ENHANCE_YOUR_CALM = 0xB

ERROR_NAMES = (
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
    "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
)  # fmt: skip

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEAD = Struct(">HBBBI")
"""Length's upper 16 bits, its lower 8, type, flags, stream id (its top bit is reserved)."""
HEAD_BYTES = 9
DEFAULT_WINDOW = 65_535
DEFAULT_FRAME = 16_384
MAX_WINDOW = 0x7FFFFFFF
LAST_STREAM_ID = 0x7FFFFFFF

_SETTING = Struct(">HI")
U32 = Struct(">I")


def head(kind: int, flags: int, length: int) -> bytes:
    """The first five bytes of a frame; the stream id's four follow."""
    return length.to_bytes(3, "big") + bytes((kind, flags))


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return head(kind, flags, len(payload)) + U32.pack(stream) + payload


def settings(values: dict[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(key, value) for key, value in values.items()))


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """In the order sent. Raises ValueError for a length that is no multiple of six."""
    if len(payload) % _SETTING.size:
        raise ValueError(f"a SETTINGS frame of {len(payload)} bytes")
    return list(_SETTING.iter_unpack(payload))


SETTINGS_ACK = frame(SETTINGS, ACK, 0, b"")


def reset(stream: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream, U32.pack(code))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, U32.pack(increment))


def goaway(last_stream: int, code: int) -> bytes:
    return frame(GOAWAY, 0, 0, U32.pack(last_stream) + U32.pack(code))


def ping_ack(payload: bytes) -> bytes:
    return frame(PING, ACK, 0, payload)


def data_frames(stream: int, body: bytes, *, end: bool, max_frame: int = DEFAULT_FRAME) -> bytes:
    """A body as DATA frames no longer than `max_frame`; the last one ends the stream if `end`."""
    parts = []
    position = 0
    while True:
        chunk = body[position : position + max_frame]
        position += len(chunk)
        last = position >= len(body)
        parts.append(frame(DATA, END_STREAM if end and last else 0, stream, chunk))
        if last:
            return b"".join(parts)


def error_name(code: int) -> str:
    return ERROR_NAMES[code] if code < len(ERROR_NAMES) else f"error {code:#x}"
