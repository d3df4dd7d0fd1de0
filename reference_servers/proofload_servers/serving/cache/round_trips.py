"""What goes to Redis and comes back, each time within a limit for the whole of it.

The limit is not one for each read: neither a peer that trickles nor one that sends gigabytes holds anybody up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from proofload_servers.serving.refusals import StartupError

from .address import told

PREFIX = b"proofload:prediction:"
CONNECT_S = 1.0
Entry = tuple[bytes, bytes]
"""(key, what is kept under it)."""


class Unanswered(Exception):  # noqa: N818  said of the peer
    """Late, gone, or not an answer to what was asked."""


class RoundTrips:
    """One connection at a time, opened when it is needed. After a failure it is closed: what may still come over it
    would be the answer to an earlier question. Used on one event loop. Raises StartupError without the library.
    """

    def __init__(self, address: str, *, ttl_s: float, limit_s: float) -> None:
        try:
            from redis.asyncio import Redis
        except ImportError as exc:
            raise StartupError(
                f"--cache {told(address)} needs the package redis; install it (it is part of the extra 'servers'), "
                "or use --cache memory"
            ) from exc
        self._limit_s = limit_s
        self._lives_ms = round(ttl_s * 1e3) or None
        self._client: Any = None
        self._connect: Callable[[], Any] = lambda: Redis.from_url(
            address,
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=CONNECT_S,
            retry=None,  # who waits has no time for a second attempt
        )

    async def in_time(self) -> bool:
        """Whether it is worth asking. Connecting may take CONNECT_S; a ping after that must keep the limit."""
        try:
            if self._client is None:
                self._client = self._connect()
            async with asyncio.timeout(CONNECT_S):
                connected = await self._client.ping()
            async with asyncio.timeout(self._limit_s):
                in_time = connected and await self._client.ping()
        except Exception:  # noqa: BLE001  whatever the library makes of a dead, foreign or hostile port
            in_time = False
        if not in_time:  # an answer that is no PONG, too
            await self.hang_up()
        return bool(in_time)

    async def exchange(self, keys: Sequence[bytes], to_keep: Sequence[Entry]) -> tuple[Sequence[Any], int]:
        """(what lies under each key, None for nothing; how many entries were not taken). Raises Unanswered."""
        try:
            pipeline = self._client.pipeline(transaction=False)
            if keys:
                pipeline.mget([_name(key) for key in keys])
            for key, entry in to_keep:
                pipeline.set(_name(key), entry, px=self._lives_ms)
            async with asyncio.timeout(self._limit_s):
                replies = await pipeline.execute(raise_on_error=False)
            found = replies.pop(0) if keys else []
            if not isinstance(found, list) or len(found) != len(keys):
                raise Unanswered(type(found).__name__)
        except Exception as exc:  # as above
            await self.hang_up()
            raise Unanswered(type(exc).__name__) from exc
        return found, sum(isinstance(reply, Exception) for reply in replies)

    async def hang_up(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                async with asyncio.timeout(CONNECT_S):
                    await client.aclose()


def _name(key: bytes) -> bytes:
    return PREFIX + key.hex().encode()
