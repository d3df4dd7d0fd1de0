"""Messages between two processes, here or on two hosts: JSON with, sometimes, bytes beside it. Bounded in size."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import orjson

_HEAD = struct.Struct("<II")
MAX_MESSAGE_BYTES = 8 << 20
MAX_BESIDE_BYTES = 64 << 20
_KEEPALIVE = {"TCP_KEEPIDLE": 3, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 10_000}
"""A host that is gone without a word is noticed after some ten seconds."""


class Said(NamedTuple):
    """One message and the bytes beside it."""

    message: dict[str, Any]
    beside: bytes = b""


class Channel:
    """One end. Several threads may send; one receives."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._sending = threading.Lock()
        self._received = bytearray()
        if connected.family in (socket.AF_INET, socket.AF_INET6):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEPALIVE.items():
                if hasattr(socket, name):
                    connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Mapping[str, Any], beside: bytes = b"") -> None:
        """Raises OSError when the other end is gone, ValueError for what is too large to be sent."""
        text = orjson.dumps(message, default=str, option=orjson.OPT_NON_STR_KEYS)
        if len(text) > MAX_MESSAGE_BYTES or len(beside) > MAX_BESIDE_BYTES:
            raise ValueError(f"a message of {len(text):,} and {len(beside):,} bytes is too large")
        with self._sending:
            self._socket.sendall(_HEAD.pack(len(text), len(beside)) + text + beside)

    def receive(self) -> Said | None:
        """The next message, waited for; None: the other end is gone, or sends what is no message."""
        while True:
            try:
                said = self._next()
            except ValueError:
                return None
            if said is not None:
                return said
            if not self._read(0):
                return None

    def arrived(self) -> list[Said] | None:
        """All that is there now. None: the other end is gone and all it said was given, or it sends no messages."""
        open_still = self._read(socket.MSG_DONTWAIT)
        found: list[Said] = []
        try:
            while (said := self._next()) is not None:
                found.append(said)
        except ValueError:
            return None
        return found if found or open_still else None

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # whoever waits in `receive` wakes
        self._socket.close()

    def _read(self, flags: int) -> bool:
        try:
            data = self._socket.recv(1 << 20, flags)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._received += data
        return bool(data)

    def _next(self) -> Said | None:
        """Raises ValueError for what is no message of ours."""
        if len(self._received) < _HEAD.size:
            return None
        text, beside = _HEAD.unpack_from(self._received)
        if text > MAX_MESSAGE_BYTES or beside > MAX_BESIDE_BYTES:
            raise ValueError(f"a message of {text:,} and {beside:,} bytes is announced")
        end = _HEAD.size + text + beside
        if len(self._received) < end:
            return None
        message = orjson.loads(self._received[_HEAD.size : _HEAD.size + text])
        said = Said(message, bytes(self._received[_HEAD.size + text : end]))
        del self._received[:end]
        if not isinstance(message, dict):
            raise ValueError("a message is an object")
        return said
