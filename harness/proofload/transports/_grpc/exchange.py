"""A few messages there and back on one stream: what asking a server's reflection needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from proofload.errors import TargetError
from proofload.transports._grpc import frames, statuses
from proofload.transports._grpc.connection import Connection
from proofload.transports._grpc.headers import Reply
from proofload.transports._grpc.messages import framed
from proofload.transports._grpc.pool import Pool
from proofload.transports._grpc.schema import Exchange, UnknownMethodError

_MAX_BYTES = 64 << 20


def exchange_over(pool: Pool, block: Callable[[str], bytes], *, patience_s: float) -> Exchange:
    """`block(path)` makes the header block. Each exchange is a stream of its own."""

    async def exchange(path: str, messages: Sequence[bytes]) -> list[bytes]:
        job = _Exchange(block(path), messages)
        pool.submit(job)
        try:
            async with asyncio.timeout(patience_s):
                return await job.answers
        except TimeoutError as exc:
            raise TargetError(
                f"the target did not answer {path} within {patience_s:g} s",
                remedy="is it ready, and does it speak gRPC on this port?",
            ) from exc
        finally:
            pool.withdraw(job)
            job.cancel()

    return exchange


class _Exchange:
    """Completes when as many answers came as messages were sent, or with what went wrong."""

    def __init__(self, block: bytes, messages: Sequence[bytes]) -> None:
        self.answers: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self._block = block
        self._messages = messages
        self._connection: Connection | None = None
        self._number = 0
        self._got: list[bytes] = []
        self._rest = b""

    def begin(self, connection: Connection) -> None:
        self._connection = connection
        self._number = connection.start_open(self, self._block)
        for message in self._messages:
            connection.add(self._number, framed(message))
        connection.finish(self._number)

    def cancel(self) -> None:
        if self._connection is not None:
            self._connection.cancel(self._number)

    def fail(self, kind: str, detail: str) -> None:
        self._raise(TargetError(f"the target cannot be asked for its services ({kind})", evidence=detail))

    def on_headers(self, reply: Reply, ended: int) -> None:
        if not ended:
            return
        code = reply.grpc_status
        if code == statuses.UNIMPLEMENTED:
            self._raise(UnknownMethodError())
        elif code == 0 and len(self._got) >= len(self._messages):
            self._finish()
        else:
            said = "no grpc-status" if code is None else f"{statuses.name(code)} {reply.grpc_message}"
            self.fail("refused" if code else "protocol", f"HTTP status {reply.http_status}, {said}")

    def on_data(self, data: bytes, ended: int) -> None:
        self._rest += data
        while len(self._rest) >= 5:
            end = 5 + int.from_bytes(self._rest[1:5], "big")
            if end > _MAX_BYTES or self._rest[0]:
                self.fail("protocol", "a message that is compressed or larger than 64 MiB")
                return
            if len(self._rest) < end:
                break
            self._got.append(self._rest[5:end])
            self._rest = self._rest[end:]
        if ended:
            self.fail("protocol", "the stream ended without a grpc-status")
        elif len(self._got) >= len(self._messages):
            self._finish()

    def on_reset(self, code: int) -> None:
        self.fail("reset", f"RST_STREAM {frames.error_name(code)}")

    def on_lost(self, kind: str, detail: str, *, unprocessed: bool) -> None:  # noqa: ARG002  asked again at the next start
        self.fail(kind, detail)

    def _finish(self) -> None:
        if not self.answers.done():
            self.answers.set_result(self._got)

    def _raise(self, exc: Exception) -> None:
        if not self.answers.done():
            self.answers.set_exception(exc)
