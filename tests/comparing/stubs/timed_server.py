"""A model server whose service time is known: standard library only, no proofload.

    python timed_server.py PORT --ms M [--jitter S] [--spread S] [--seed N] [--busy]

Answers POST {"value": v} with {"prediction": 2 v} after a wait: lognormal around M ms, with deviation `jitter`. With
`spread`, each process draws a factor of its own at its start, as lifetimes of real servers do. With `--busy` it
computes all the while instead of waiting, one request at a time. GET anything: 200. SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random

ROUNDS_A_SECOND = 20_000_000
"""Of additions: about what a core does. The work is the same whatever the core, the time is not."""


class Server:
    def __init__(self, options: argparse.Namespace) -> None:
        self._random = random.Random(options.seed)
        self._seconds = options.ms / 1000.0 * self._random.lognormvariate(0.0, options.spread)
        self._jitter = options.jitter
        self._busy = options.busy

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept alive."""
        try:
            while line := await reader.readline():
                length = 0
                while (header := await reader.readline()).strip():
                    name, _, value = header.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                body = await reader.readexactly(length)
                answer = b"{}"
                if line.startswith(b"POST"):
                    await self._work(self._seconds * self._random.lognormvariate(0.0, self._jitter))
                    answer = json.dumps({"prediction": 2 * json.loads(body)["value"]}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _work(self, seconds: float) -> None:
        if not self._busy:
            await asyncio.sleep(seconds)
            return
        rounds = round(seconds * ROUNDS_A_SECOND)
        total = 0
        for number in range(rounds):
            total += number


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--ms", type=float, required=True)
    parser.add_argument("--jitter", type=float, default=0.1)
    parser.add_argument("--spread", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--busy", action="store_true")
    options = parser.parse_args()
    server = await asyncio.start_server(Server(options).serve, "127.0.0.1", options.port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
