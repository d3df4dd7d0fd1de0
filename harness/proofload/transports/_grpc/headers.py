"""Header blocks (RFC 7541): ours carry no compression state, the peer's may.

What we send is literal or from the static table, so one block serves every request of every
connection. It opens with a table size update to zero: a peer that lowered its table size expects
one in the first block after it, and repeating it is legal and stateless.

What peers send is decoded by `hpack`. We ask for no dynamic table (SETTINGS_HEADER_TABLE_SIZE 0), and
most peers then send the same bytes again and again; those are looked up. A look-up is sound when
decoding the block neither read a state that has changed since nor changed it: the table counts its
changes, and the memo is dropped with each.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from hpack import Decoder, HeaderTuple
from hpack.exceptions import HPACKError
from hpack.table import HeaderTable

MAX_BLOCK_BYTES = 65_536
_MEMO_ENTRIES = 256
_TABLE_SIZE_ZERO = b"\x20"
_STATIC_PAIRS = {pair: index for index, pair in reversed(list(enumerate(HeaderTable.STATIC_TABLE, 1)))}
_STATIC_NAMES = {pair[0]: index for index, pair in reversed(list(enumerate(HeaderTable.STATIC_TABLE, 1)))}


@dataclass(frozen=True, slots=True)
class Reply:
    """What matters of one header block from the peer; None: the block does not say."""

    http_status: int | None
    grpc_status: int | None
    grpc_message: str
    encoding: str
    content_type: str


def encode_block(fields: Iterable[tuple[str, str]]) -> bytes:
    """A block that any peer can read in any state and that leaves no trace in it."""
    parts = [_TABLE_SIZE_ZERO]
    for name, value in fields:
        raw_name, raw_value = name.encode("ascii"), value.encode("utf-8")
        pair = _STATIC_PAIRS.get((raw_name, raw_value))
        if pair is not None:
            parts.append(_integer(pair, 7, 0x80))
            continue
        index = _STATIC_NAMES.get(raw_name, 0)
        parts.append(_integer(index, 4, 0x00))
        if not index:
            parts.append(_integer(len(raw_name), 7, 0) + raw_name)
        parts.append(_integer(len(raw_value), 7, 0) + raw_value)
    return b"".join(parts)


def timeout_field(seconds: float) -> bytes:
    """The grpc-timeout header for the end of a block. The grammar allows eight digits and a unit."""
    milliseconds = max(1, round(seconds * 1000))
    text = f"{milliseconds}m" if milliseconds < 100_000_000 else f"{min(99_999_999, round(seconds))}S"
    return encode_block([("grpc-timeout", text)])[len(_TABLE_SIZE_ZERO) :]


def metadata_value(name: str, value: str) -> str:
    """Metadata whose name ends in -bin travels as base64 of its UTF-8 bytes."""
    return base64.b64encode(value.encode()).decode().rstrip("=") if name.endswith("-bin") else value


class HeaderReader:
    """Reads the peer's header blocks of one connection, which must all be passed in, in order."""

    def __init__(self) -> None:
        self._decoder = Decoder(max_header_list_size=MAX_BLOCK_BYTES)
        self._table = _CountingTable()
        self._decoder.header_table = self._table
        self._memo: dict[bytes, Reply] = {}
        self._memo_changes = 0

    def read(self, block: bytes) -> Reply:
        """Raises ValueError for a block that cannot be decoded; the connection is then unusable."""
        reply = self._memo.get(block)
        if reply is not None:
            return reply
        before = self._table.changes
        try:
            reply = _reply(self._decoder.decode(block, raw=True))
        except HPACKError as exc:
            raise ValueError(f"a header block that cannot be decoded: {exc}") from exc
        changes = self._table.changes
        if changes != self._memo_changes or len(self._memo) >= _MEMO_ENTRIES:
            self._memo.clear()
            self._memo_changes = changes
        if before == changes:
            self._memo[block] = reply
        return reply


class _CountingTable(HeaderTable):
    """Counts the changes of its state: its entries and its maximum size."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = 0

    def add(self, name: bytes, value: bytes) -> None:
        was_empty = not self.dynamic_entries
        super().add(name, value)
        if self.dynamic_entries or not was_empty:
            self.changes += 1

    @property
    def maxsize(self) -> int:
        return self._maxsize

    @maxsize.setter
    def maxsize(self, newmax: int) -> None:
        if newmax != self._maxsize:
            self.changes += 1
        HeaderTable.maxsize.__set__(self, newmax)  # type: ignore[attr-defined]


def _reply(fields: Iterable[HeaderTuple]) -> Reply:
    found = {bytes(name): bytes(value) for name, value in fields}
    return Reply(
        http_status=_number(found.get(b":status")),
        grpc_status=_number(found.get(b"grpc-status")),
        grpc_message=unquote(found.get(b"grpc-message", b"").decode("latin-1"), errors="replace"),
        encoding=found.get(b"grpc-encoding", b"identity").decode("latin-1"),
        content_type=found.get(b"content-type", b"").decode("latin-1"),
    )


def _number(text: bytes | None) -> int | None:
    """-1 for something that is there and is no number."""
    if text is None:
        return None
    return int(text) if text.isdigit() and len(text) < 10 else -1


def _integer(value: int, bits: int, flags: int) -> bytes:
    """RFC 7541, 5.1."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes((flags | value,))
    out = [flags | limit]
    value -= limit
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
