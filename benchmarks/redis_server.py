"""A Redis of our own, on 127.0.0.1 and in memory alone, for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from proofload.claims._companions import redis_or_none

MISSING = "redis-server is missing: apt-get install redis-server"


@dataclass(frozen=True, slots=True)
class Redis:
    """A running one."""

    port: int
    process: psutil.Process

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def emptied(self) -> None:
        import redis

        with redis.Redis(port=self.port) as client:
            client.flushall()

    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def redis_running() -> Iterator[Redis | None]:
    """None where redis-server is not installed."""
    with redis_or_none() as found:
        yield Redis(found.port, psutil.Process(found.pid)) if found is not None else None
