"""An HTTP server that knows the truth about itself and writes it down at its end. Standard library only.

    python witness_server.py LOG [--core N] [--median-ms X --sigma S --seed N] [--freeze-every S --freeze S] [--swap N]

Prints its port. Answers POST {"value": v} with {"prediction": 2 v} after a seeded lognormal delay. SIGTERM ends
it, and then LOG holds, as JSON: service_ns (request read to answer written, of every request), freezes_ns
(instants at which it stood still, monotonic) and swapped (answers that went to the wrong caller).

One loop over epoll, so that between the bytes' arrival and their stamp lies next to nothing; `select` waits for
the epoll, because its timeouts have microseconds where epoll's have milliseconds.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import json
import math
import os
import random
import select
import signal
import socket
import sys
from pathlib import Path
from time import monotonic_ns, sleep

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
_NEVER = 1 << 62


class Server:
    """All connections, what they are owed and when."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._random = random.Random(options.seed)
        self._log_median = math.log(options.median_ms * 1e6)
        self._sigma = options.sigma
        self._freeze_ns = round(options.freeze * 1e9)
        self._freeze_every_ns = round(options.freeze_every * 1e9)
        self._swap = options.swap
        self._swapping: tuple[int, int, int, bytes] | None = None
        self._owed: list[tuple[int, int, int, bytes]] = []  # due, read, descriptor, answer
        self._connections: dict[int, socket.socket] = {}
        self._parts: dict[int, bytes] = {}
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listening.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listening.fileno(), select.EPOLLIN)
        self.port = self._listening.getsockname()[1]
        self.service_ns: list[int] = []
        self.freezes_ns: list[int] = []
        self.swapped = 0
        self.ending = False

    def run(self) -> None:
        """Until `ending`."""
        next_freeze = monotonic_ns() + self._freeze_every_ns - self._freeze_ns if self._freeze_ns else _NEVER
        while not self.ending:
            now = monotonic_ns()
            if now >= next_freeze:
                self.freezes_ns.append(next_freeze)
                sleep((next_freeze + self._freeze_ns - monotonic_ns()) / 1e9)
                next_freeze += self._freeze_every_ns
                continue
            while self._owed and self._owed[0][0] <= monotonic_ns():
                self._answer(*heapq.heappop(self._owed)[1:])
            due = min(self._owed[0][0] if self._owed else _NEVER, next_freeze, monotonic_ns() + 100_000_000)
            select.select([self._epoll], [], [], max(0, due - monotonic_ns()) / 1e9)
            for descriptor, _ in self._epoll.poll(0):
                if descriptor == self._listening.fileno():
                    self._accept()
                else:
                    self._read(descriptor)

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except BlockingIOError:
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[connection.fileno()] = connection
        self._epoll.register(connection.fileno(), select.EPOLLIN)

    def _read(self, descriptor: int) -> None:
        connection = self._connections[descriptor]
        try:
            data = connection.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._epoll.unregister(descriptor)
            connection.close()
            del self._connections[descriptor]
            self._parts.pop(descriptor, None)
            return
        data = self._parts.pop(descriptor, b"") + data
        head, blank, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if not blank or len(body) < length:
            self._parts[descriptor] = data
            return
        read_ns = monotonic_ns()
        self._owe(read_ns, descriptor, json.dumps({"prediction": 2 * json.loads(body)["value"]}).encode())

    def _owe(self, read_ns: int, descriptor: int, body: bytes) -> None:
        due_ns = read_ns + round(math.exp(self._random.gauss(self._log_median, self._sigma)))
        if self._swapping is not None and self._swapping[3] != body:
            other_due, other_read, other, other_body = self._swapping
            self._swapping = None
            heapq.heappush(self._owed, (other_due, other_read, other, body))
            body = other_body
            self.swapped += 2
        elif self._swap and self._swapping is None and self._random.random() < 1 / self._swap:
            self._swapping = (due_ns, read_ns, descriptor, body)
            return
        heapq.heappush(self._owed, (due_ns, read_ns, descriptor, body))

    def _answer(self, read_ns: int, descriptor: int, body: bytes) -> None:
        connection = self._connections.get(descriptor)
        if connection is None:
            return
        connection.send(_HEAD % (len(body), body))
        self.service_ns.append(monotonic_ns() - read_ns)


def main() -> None:
    """Serve until SIGTERM, then write the log."""
    parser = argparse.ArgumentParser()
    parser.add_argument("log", type=Path)
    parser.add_argument("--core", type=int)
    parser.add_argument("--median-ms", type=float, default=1.0)
    parser.add_argument("--sigma", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--freeze-every", type=float, default=10.0)
    parser.add_argument("--freeze", type=float, default=0.0)
    parser.add_argument("--swap", type=int, default=0, help="one request in so many gets another caller's answer")
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    server = Server(options)

    def end(_number: int, _frame: object) -> None:
        server.ending = True

    signal.signal(signal.SIGTERM, end)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    gc.disable()
    server.run()
    known = {"service_ns": server.service_ns, "freezes_ns": server.freezes_ns, "swapped": server.swapped}
    options.log.write_text(json.dumps(known), encoding="utf-8")


if __name__ == "__main__":
    main()
